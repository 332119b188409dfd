"""Data parallelism: every device has the parameters and computes on its share of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from jax.sharding import AbstractMesh, Mesh

from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function, check_gradient_function
from jaxaccel._returned import checked_gradients
from jaxaccel._spread import check_not_spread
from jaxaccel._types import AxisName, GradientFunction
from jaxaccel.parallel._comm_hook import CommHook, by_comm_hook
from jaxaccel.parallel._modes import by_pmap, by_shard_map, by_sharding
from jaxaccel.parallel._on_mesh import on_mesh
from jaxaccel.parallel._per_device import per_device
from jaxaccel.parallel._placement import known_axes


@checked_but("gradient_fn", "axis")
def data_parallel(
    gradient_fn: GradientFunction,
    mesh: Mesh | AbstractMesh,
    *,
    axis: AxisName = "data",
    mode: Literal["jit", "shard_map", "pmap"] = "jit",
    weight: Callable[[Any], Any] | None = None,
    batch_axes: Any = 0,
    comm_hook: CommHook | None = None,
) -> GradientFunction:
    r"""Return a gradient function run on a mesh: the batch is split, the mean is taken.

    .. math:: g = \frac{\sum_{d=1}^{D} w_d \nabla \ell(\theta, B_d)}{\sum_{d=1}^{D} w_d},
        \qquad w_d = 1 \text{ unless weighted}

    The modes are three notations. ``"jit"`` says where the batch lives and leaves the collectives
    to the compiler: the loss is that of the whole batch, and so are batch statistics, random masks
    and means over tokens. ``"shard_map"`` and ``"pmap"`` run the gradient function on each device's
    rows and average explicitly, as DistributedDataParallel does. The gradients are equal in all
    modes, and whatever the order in which this and ``training.accumulate`` are wrapped, unless

    - batch statistics are a device's own, because the layer has no ``axis_name``;
    - random masks are drawn, whose bits differ, but not their distribution: each device has keys of
      its own, of ``key=`` and of typed keys in ``model_state``;
    - devices count differently (tokens) and no ``weight`` is given: then it is the mean of the
      devices' means.

    ``psum``, ``pmean`` and ``axis_index`` over ``axis`` work inside in every mode; in ``"jit"`` one
    device has the whole batch.

    Args:
        gradient_fn: A gradient function (``training.gradients``), maybe wrapped already.
        mesh: The mesh, with automatic or explicit axes; an abstract one, without devices, where
            the result is only lowered, ahead of time.
        axis: The mesh axis that the batch is split over, or a tuple of them. Parameters may be
            sharded over the others, except under ``"pmap"``.
        mode: The notation. ``"pmap"``, JAX's oldest, needs a mesh of one automatic axis in one
            process.
        weight: ``rows -> scalar``, what a device's rows count for in the mean of gradients and
            metrics: their number of tokens, for a loss that is a mean over tokens. Rows of weight
            0 count for nothing, even if their gradients are NaN. ``"jit"`` needs none, nor does a
            loss that sums over ``axis`` itself, unless ``training.accumulate`` weighs parts inside:
            then both are given the same. Default: all devices count the same.
        batch_axes: The axis of each leaf that holds its rows, ``None`` for a leaf that every device
            is given whole: one for all or a prefix of the batch's tree, as ``jax.vmap``'s
            ``in_axes``. Scalars are given whole without saying.
        comm_hook: How gradients are reduced over devices under ``"shard_map"``, if not by a plain
            mean: :func:`bf16_compress_hook`, :func:`int8_compress_hook`, :func:`power_sgd_hook`.
            One that remembers is given its memory with ``model_state``, by :func:`comm_state`.

    Returns:
        A gradient function for the whole batch. Its results are replicated over ``axis``: of
        ``model_state``, floating-point arrays are averaged over the devices, frozen parameters stay
        and the rest (counters, keys) is the first device's. It can be called as it is or inside
        ``jit``.

    Raises:
        ValueError: The mesh lacks the axis, the mode is unknown or does not fit the mesh; when
            called, the axis' size does not divide the batch, the leaves disagree on the number of
            rows, one of several processes hands in arrays that are only its own, or the
            memory of a ``comm_hook`` is that of other parameters or devices.
        TypeError: ``gradient_fn`` is a loss function, ``mesh`` is not a mesh; when called, ``key``
            is a raw key, ``model_state`` has one where devices have masks of their own, or
            ``weight`` returns anything but one real number, or a ``comm_hook`` that remembers is
            given no memory.

    PyTorch:
        ``torch.nn.parallel.DistributedDataParallel``: gradients are averaged over ranks (a sum in
        JAX's ``psum`` would be too large by the number of devices). With ``"jit"``, BatchNorm is
        ``SyncBatchNorm``; with the other modes it is DDP's per-rank BatchNorm, except that the
        running statistics are averaged over ranks where DDP keeps rank 0's. ``comm_hook`` is what
        ``register_comm_hook(state, hook)`` registers.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(params * batch), (model_state, {})
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> gradient_fn = ja.parallel.data_parallel(ja.training.gradients(loss_fn), mesh)
        >>> print(gradient_fn(2.0, (), jnp.arange(4.0)).grads)
        1.5

    References:
        Li et al. PyTorch Distributed: Experiences on Accelerating Data Parallel Training. 2020.
        https://arxiv.org/abs/2006.15704
    """
    check_gradient_function("data_parallel", gradient_fn)
    if weight is not None:
        check_function("data_parallel", "weight", weight, "(batch) -> number", 1)
    axes = known_axes(mesh, axis)
    check_not_spread("data_parallel", gradient_fn, axes)
    gradient_fn = checked_gradients("data_parallel", gradient_fn)
    if comm_hook is not None:
        if mode != "shard_map":
            raise ValueError(
                f"comm_hook is for mode='shard_map', in which devices have gradients of their own, "
                f"got mode={mode!r}; write mode='shard_map'"
            )
        run = by_comm_hook(comm_hook, gradient_fn, mesh, axes, weight)
    elif mode == "jit":
        run = by_sharding(gradient_fn, mesh, axes)
    elif mode == "shard_map":
        run = by_shard_map(per_device(gradient_fn, axes, weight), mesh, axes)
    elif mode == "pmap":
        run = by_pmap(per_device(gradient_fn, axes, weight), mesh, axes)
    else:
        raise ValueError(f"mode must be 'jit', 'shard_map' or 'pmap', got {mode!r}")

    return on_mesh(run, mesh, axes, mode, batch_axes)
