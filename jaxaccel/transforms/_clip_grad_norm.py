"""Clipping by the norm of all gradients together."""

from __future__ import annotations

import functools
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_arrays, check_parameters, check_state
from jaxaccel._checked import checked_after, checked_but
from jaxaccel._checks import check_non_negative
from jaxaccel._counts import schedule_step
from jaxaccel._math import compute_dtype, in_dtype, value_at, widest
from jaxaccel._packed import is_packed, stacked_leaves, unpacked
from jaxaccel._tracing import traced_once
from jaxaccel._tree import (
    initial_scalar,
    initial_step,
    next_step,
    short_repr,
    takes_shapes,
    update_leaves,
)
from jaxaccel._types import Hyperparameter, Params, Scalar, State, Updates
from jaxaccel.transforms._norm_over_devices import axes_to_reduce, norms_over
from jaxaccel.transforms._vector_norm import vector_norm


class ClipGradNormState(NamedTuple):
    """State of :func:`clip_grad_norm`."""

    step: jax.Array
    """int32 scalar: finished updates."""
    total_norm: jax.Array
    """Norm of the last gradients before clipping (what ``clip_grad_norm_`` returns), a scalar."""

    is_elementwise = True
    __repr__ = short_repr


@checked_but("norm_type")
def get_total_norm(
    tensors: Updates,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    *,
    axis_name: Any = None,
) -> jax.Array:
    r"""Return the norm of all leaves, as if they were one vector.

    .. math:: \Big(\sum_i |x_i|^p\Big)^{1/p}

    Args:
        tensors: A pytree of arrays; ``None`` leaves count for nothing.
        norm_type: The order :math:`p`: any number, ``inf`` (largest), ``-inf`` (smallest
            leaf norm) or 0 (count).
        error_if_nonfinite: Raise when the norm is NaN or infinite.
        axis_name: For a call inside your own ``shard_map``: the mapped axis, or axes, over whose
            devices pieces of the arrays lie; the norm is then that of the whole arrays, on all of
            them. An array that the devices share, by its type, counts once. ``pmap`` and
            ``shard_map(check_vma=False)`` keep no such types: there, give a prefix of the tree
            with a name, names or ``None`` for each array. Default: the arrays are whole.

    Returns:
        A real scalar, in float32 or, with double-precision leaves, float64. An empty tree gives 0.

    Raises:
        RuntimeError: The norm is not finite and ``error_if_nonfinite`` is set. Inside ``jit`` the
            compiled program raises it (as a ``jax.errors.JaxRuntimeError`` with the same text)
            when its results are read.
        ValueError: ``axis_name`` is not mapped, does not fit the tree, or is one name for all where
            types do not say which arrays are shared.
        TypeError: ``axis_name`` holds something else than names.

    PyTorch:
        ``torch.nn.utils.get_total_norm``: the same norm of norms. Norms of half-precision leaves
        are accumulated and kept in float32, where PyTorch rounds each to half precision. With
        ``axis_name``, what it returns for the ``DTensor`` gradients of ``fully_shard``, after
        ``full_tensor()``. Left out: ``foreach``. Its derivatives are those of
        ``torch.linalg.vector_norm``: 0 at a norm of 0.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> print(ja.transforms.get_total_norm({"w": jnp.array([3.0]), "b": jnp.array([4.0])}))
        5.0
    """
    check_arrays("tensors", tensors)
    leaves = [jnp.asarray(leaf) for leaf in jax.tree.leaves(tensors)]
    if not leaves:
        return jnp.zeros((), jnp.float32)
    dtype = _norm_dtype(leaves)
    order = _order(norm_type)
    if axis_name is None:
        norms = _norms_of_leaves(tensors, order, dtype)
    else:
        tensors = unpacked(tensors)
        wide = [_wide(jnp.asarray(leaf)) for leaf in jax.tree.leaves(tensors)]
        axes = axes_to_reduce(tensors, axis_name)
        over_devices = norms_over(wide, axes, order, vector_norm)
        norms = jnp.stack([norm.astype(dtype) for norm in over_devices])
    total_norm = vector_norm(norms, order)
    if error_if_nonfinite:
        check = functools.partial(_raise_if_nonfinite, norm_type=order)
        if isinstance(total_norm, Tracer):
            jax.debug.callback(check, total_norm)
        else:
            check(total_norm)
    return total_norm


@checked_after
def clip_grads_with_norm(grads: Updates, max_norm: Scalar, total_norm: jax.Array) -> Updates:
    r"""Scale gradients whose norm is known by :math:`\min(1, c / (\lVert g \rVert + 10^{-6}))`.

    Args:
        grads: A pytree of gradients; ``None`` leaves stay ``None``.
        max_norm: The largest norm :math:`c` that passes unscaled, at least 0.
        total_norm: The gradients' norm, a scalar.

    Returns:
        The scaled gradients, in their own shapes and dtypes.

    Raises:
        ValueError: ``max_norm`` is negative.
        TypeError: ``max_norm`` is not a number or a scalar.

    PyTorch:
        ``torch.nn.utils.clip_grads_with_norm_``, out of place. Left out: ``foreach``. A negative
        ``max_norm``, which would flip every gradient's sign, is an error here.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> g = jnp.array([3.0, 4.0])
        >>> print(ja.transforms.clip_grads_with_norm(g, 1.0, jnp.asarray(5.0)))
        [0.5999999  0.79999983]
    """
    check_non_negative("max_norm", max_norm, "Invalid max_norm value")
    check_arrays("grads", grads)
    check_parameters(grads)
    if isinstance(total_norm, (jax.Array, np.ndarray)) and total_norm.ndim:
        raise ValueError(
            f"scalar tensor expected to be 0 dim but it has {total_norm.ndim} dimensions and "
            f"{total_norm.size} elements.\ntotal_norm must be one number, got shape "
            f"{total_norm.shape}; get_total_norm(grads) returns it"
        )
    (max_norm,) = in_dtype(total_norm.dtype, max_norm)
    coefficient = max_norm / (total_norm + 1e-6)
    # Where it is 1, the derivative is the quotient's, as that of torch.clamp is.
    coefficient = jnp.where(coefficient > 1, jnp.ones_like(coefficient), coefficient)
    (clipped,) = update_leaves(
        lambda _, grad: (grad * coefficient.astype(grad.dtype),), grads, None, ()
    )
    return clipped


@shows_call
@checked_but("norm_type")
def clip_grad_norm(
    max_norm: Hyperparameter,
    norm_type: float | Literal["inf"] = 2.0,
    error_if_nonfinite: bool = False,
    *,
    axis_name: Any = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Clip gradients by their common norm, with PyTorch's :math:`10^{-6}`.

    .. math:: g \leftarrow g \cdot \min\Big(1, \frac{c}{\lVert g \rVert_p + 10^{-6}}\Big)

    Args:
        max_norm: The largest norm :math:`c`, at least 0: a number, a JAX scalar or a schedule.
        norm_type: The order :math:`p` of the norm; ``inf`` is the largest entry.
        error_if_nonfinite: Raise when the norm is NaN or infinite.
        axis_name: As in :func:`get_total_norm`, for updates inside your own ``shard_map``. Around
            ``parallel.data_parallel``, and in ``training.train_step``, gradients are whole.

    Returns:
        A transformation of gradients whose :class:`ClipGradNormState` holds the norm before
        clipping. Shapes and dtypes stay.

    Raises:
        ValueError: ``max_norm`` is negative, or ``norm_type`` is a text that is not a number.
        TypeError: ``max_norm`` is not a number, a JAX scalar or a schedule.
        RuntimeError: The norm is not finite and ``error_if_nonfinite`` is set (see
            :func:`get_total_norm`).

    PyTorch:
        ``torch.nn.utils.clip_grad_norm_``: same numbers; the norm that it returns is
        ``state.total_norm``. ``optax.clip_by_global_norm`` has no 1e-6, other orders or norm to
        read: at a norm of 0.01 its result differs by 1e-4. Left out: ``foreach``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.transforms.clip_grad_norm(1.0)
        >>> g = jnp.array([3.0, 4.0])
        >>> clipped, state = tx.update(g, tx.init(g))
        >>> print(clipped, state.total_norm)
        [0.5999999  0.79999983] 5.0

    References:
        Pascanu, Mikolov, Bengio. On the difficulty of training Recurrent Neural Networks. 2013.
        https://arxiv.org/abs/1211.5063
    """
    check_non_negative("max_norm", max_norm, "Invalid max_norm value")
    norm_type = _order(norm_type)
    over: dict[str, Any] = {} if axis_name is None else {"axis_name": axis_name}

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return ClipGradNormState(
            step=initial_step(params),
            total_norm=initial_scalar(params, _norm_dtype(jax.tree.leaves(params))),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        del params
        check_state("clip_grad_norm", ClipGradNormState, state)
        total_norm = get_total_norm(updates, norm_type, error_if_nonfinite, **over)
        largest = value_at(max_norm, schedule_step(extra, state.step), "max_norm")
        clipped = clip_grads_with_norm(updates, largest, total_norm)
        new_state = ClipGradNormState(
            next_step(state.step), total_norm.astype(state.total_norm.dtype)
        )
        return clipped, new_state

    return optax.GradientTransformationExtraArgs(init, update)


def _norms_of_leaves(tensors: Updates, order: float, dtype: Any) -> jax.Array:
    """Return a vector of the norms of all leaves, of those in a buffer each by itself too."""
    norm = functools.partial(_norm_of_leaf, order=order, dtype=dtype)
    parts = []
    for node in jax.tree.leaves(tensors, is_leaf=is_packed):
        if not is_packed(node):
            parts.append(jax.lax.expand_dims(norm(jnp.asarray(node)), (0,)))
            continue
        stacks = list(stacked_leaves(node))  # in the buffers' order, of one shape together
        places = np.argsort([index for indices, _ in stacks for index in indices])
        parts.append(jnp.concatenate([jax.vmap(norm)(stack) for _, stack in stacks])[places])
    return jnp.concatenate(parts)


@traced_once("order", "dtype")
def _norm_of_leaf(leaf: jax.Array, *, order: float, dtype: Any) -> jax.Array:
    """Return the norm of an array."""
    return vector_norm(_wide(leaf), order).astype(dtype)


def _norm_dtype(leaves: list[Any]) -> Any:
    """Return the dtype of the norm: the widest real dtype among the leaves, at least float32."""
    for leaf in leaves:
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            raise TypeError(
                "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                f"{jnp.result_type(leaf)}\nA norm is that of gradients: leave out what has none"
            )
    reals = [jnp.finfo(jnp.result_type(leaf)).dtype for leaf in leaves]
    return widest(jnp.float32, *reals)


def _wide(leaf: jax.Array) -> jax.Array:
    """Return a leaf in the dtype that its norm is accumulated in."""
    return leaf.astype(compute_dtype(leaf.dtype))


def _raise_if_nonfinite(total_norm: Any, norm_type: float) -> None:
    """Raise PyTorch's error when the norm is NaN or infinite."""
    # NumPy: under jit this runs in a callback, where a JAX computation could wait for itself.
    if not np.isfinite(np.asarray(total_norm)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )


def _order(norm_type: Any) -> float:
    """Return the order of a norm, which may be the text "inf", as PyTorch reads it."""
    wanted = f"norm_type must be a number that is known now or 'inf', got {norm_type!r:.80}"
    if isinstance(norm_type, (bool, np.bool_, Tracer)):
        raise TypeError(wanted)
    try:
        return float(norm_type)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}\n{wanted}") from None
