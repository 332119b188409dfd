"""Data parallelism: every device has the parameters and computes on its share of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxaccel.parallel._placement import check_axis, check_batch_divides


def data_parallel(
    fn: Callable[[Any, Any], Any],
    mesh: Mesh,
    *,
    axis: str = "data",
    mode: Literal["jit", "shard_map", "pmap"] = "jit",
) -> Callable[[Any, Any], Any]:
    r"""Return ``fn`` run on a mesh: parameters on every device, the batch split over them.

    ``fn(replicated, batch)`` must return means over the batch (losses, gradients, statistics):
    then the mean over devices of the parts is the value for the whole.

    .. math:: f(\theta, B) = \frac{1}{D} \sum_{d=1}^{D} f(\theta, B_d)

    The modes are three notations with equal results. ``"jit"`` describes where the arrays live and
    leaves the collectives to the compiler; a batch statistic inside ``fn`` is that of the whole
    batch. ``"shard_map"`` and ``"pmap"`` run ``fn`` on each device's rows and average explicitly;
    a batch statistic inside is the device's own unless ``fn`` averages it over ``axis`` (as
    ``nn.BatchNorm2d(..., axis_name=axis)`` does). A random key is the same on every device there:
    where rows must differ (dropout), fold ``jax.lax.axis_index(axis)`` into it, or use ``"jit"``.

    Args:
        fn: A function ``(replicated, batch) -> tree of means``.
        mesh: The mesh.
        axis: The mesh axis that the batch is split over.
        mode: The notation. ``"pmap"`` needs a mesh of one axis.

    Returns:
        A function of the same two arguments. Its real and complex floating-point results are
        averaged over devices; other results (counters, keys) must not depend on the batch. All
        are replicated. It can be called as it is or inside ``jit``.

    Raises:
        ValueError: The mesh lacks the axis, the mode is unknown or does not fit the mesh; when
            called, the axis' size does not divide the batch.

    PyTorch:
        ``torch.nn.parallel.DistributedDataParallel``: gradients are averaged over ranks (a sum in
        JAX's ``psum`` would be too large by the number of devices). With ``"jit"``, BatchNorm is
        ``SyncBatchNorm``; with the other modes it is DDP's per-rank BatchNorm, except that the
        running statistics are averaged over ranks where DDP keeps rank 0's.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> mean = ja.parallel.data_parallel(lambda w, x: jnp.mean(x * w), mesh)
        >>> print(mean(2.0, jnp.arange(4.0)))
        3.0

    References:
        Li et al. PyTorch Distributed: Experiences on Accelerating Data Parallel Training. 2020.
        https://arxiv.org/abs/2006.15704
    """
    check_axis(mesh, axis)
    if mode == "jit":
        run = _by_sharding(fn, mesh, axis)
    elif mode == "shard_map":
        run = _by_shard_map(fn, mesh, axis)
    elif mode == "pmap":
        run = _by_pmap(fn, mesh, axis)
    else:
        raise ValueError(f"mode must be 'jit', 'shard_map' or 'pmap', got {mode!r}")

    def parallel(replicated: Any, batch: Any) -> Any:
        check_batch_divides(batch, mesh, axis)
        return run(replicated, batch)

    return parallel


def _by_sharding(fn: Callable[..., Any], mesh: Mesh, axis: str) -> Callable[..., Any]:
    """Say where arrays live; the compiler finds the collectives."""
    everywhere = NamedSharding(mesh, PartitionSpec())
    split = NamedSharding(mesh, PartitionSpec(axis))

    @jax.jit
    def run(replicated: Any, batch: Any) -> Any:
        replicated = jax.lax.with_sharding_constraint(replicated, everywhere)
        batch = jax.lax.with_sharding_constraint(batch, split)
        return jax.lax.with_sharding_constraint(fn(replicated, batch), everywhere)

    return run


def _by_shard_map(fn: Callable[..., Any], mesh: Mesh, axis: str) -> Callable[..., Any]:
    """Run on each device's rows, and average."""

    def local(replicated: Any, batch: Any) -> Any:
        return _averaged(fn(_as_own_copy(replicated, axis), batch), axis)

    return jax.jit(
        jax.shard_map(
            local,
            mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec(axis)),
            out_specs=PartitionSpec(),
        )
    )


def _by_pmap(fn: Callable[..., Any], mesh: Mesh, axis: str) -> Callable[..., Any]:
    """Run on each device's rows, the first of two axes, and average: JAX's oldest notation."""
    if len(mesh.shape) != 1:
        raise ValueError(f"mode 'pmap' needs a mesh of one axis, got {tuple(mesh.shape)}")
    devices = list(mesh.devices.flat)

    def local(replicated: Any, batch: Any) -> Any:
        return _averaged(fn(_as_own_copy(replicated, axis), batch), axis)

    mapped = jax.pmap(local, axis_name=axis, in_axes=(None, 0), out_axes=None, devices=devices)

    def run(replicated: Any, batch: Any) -> Any:
        rows = jax.tree.map(lambda x: x.reshape(len(devices), -1, *x.shape[1:]), batch)
        return mapped(replicated, rows)

    return run


def _as_own_copy(tree: Any, axis: str) -> Any:
    """Return floating-point leaves as each device's own.

    Gradients of a value that all devices share are summed over them by differentiation itself;
    gradients of a device's own copy stay its own, to be averaged.
    """
    return jax.tree.map(
        lambda leaf: jax.lax.pcast(leaf, axis, to="varying") if _is_inexact(leaf) else leaf, tree
    )


def _averaged(tree: Any, axis: str) -> Any:
    """Return floating-point leaves averaged over devices; others are the same on all."""
    return jax.tree.map(lambda leaf: jax.lax.pmean(leaf, axis) if _is_inexact(leaf) else leaf, tree)


def _is_inexact(leaf: Any) -> bool:
    """Return whether a leaf is a real or complex floating-point array."""
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
