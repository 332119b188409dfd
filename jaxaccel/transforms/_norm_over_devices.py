"""Norms of arrays whose pieces lie on the devices of a mapped axis."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._tree import path_name


def axes_to_reduce(tensors: Any, axis_name: Any) -> list[tuple[str, ...]]:
    """Return for each leaf the mapped axes over which its pieces lie.

    Of the axes that are named for a leaf these are those over which its value differs, by its type:
    a leaf that the devices share is a whole already.
    """
    try:
        named = jax.tree.broadcast(axis_name, tensors, is_leaf=_is_axes)
    except ValueError as error:
        raise ValueError(
            "axis_name must be the name of a mapped axis, several, or a prefix of the tree with "
            f"names and None, got {axis_name!r}: {error}"
        ) from error
    nodes = jax.tree.leaves(tensors, is_leaf=_is_axes)  # frozen leaves and empty nodes among them
    pairs = zip(nodes, jax.tree.leaves(named, is_leaf=_is_axes), strict=True)
    axes = [_as_axes(each) for node, each in pairs if not _is_axes(node)]
    typed = {axis: _has_types(axis) for axis in {axis for each in axes for axis in each}}
    untyped = [axis for axis, known in typed.items() if not known]
    is_for_all = _is_axes(axis_name) and not jax.tree_util.all_leaves([tensors])
    if is_for_all and untyped:
        raise ValueError(
            f"axis_name={axis_name!r}: under pmap, vmap and shard_map(check_vma=False) a "
            f"gradient's type does not say whether the devices of {untyped[0]!r} share it; give a "
            "tree that says it for each gradient: axis_name={"
            f"{_example(tensors)!r}: {untyped[0]!r}, ...}}, None for those that are shared"
        )
    return [
        tuple(axis for axis in each if _is_spread(leaf, axis, typed[axis]))
        for leaf, each in zip(jax.tree.leaves(tensors), axes, strict=True)
    ]


def norms_over(
    leaves: Sequence[jax.Array],
    axes: Sequence[tuple[str, ...]],
    order: float,
    norm: Callable[[jax.Array, float], jax.Array],
) -> list[jax.Array]:
    """Return the norm of each leaf, whole: with one collective for all that lie over alike axes."""
    norms = [None if each else norm(leaf, order) for leaf, each in zip(leaves, axes, strict=True)]
    for group in sorted(set(axes) - {()}):
        members = [index for index, each in enumerate(axes) if each == group]
        if math.isinf(order):
            whole = _extremes(tuple(leaves[index] for index in members), group, order, norm)
        else:
            own = jnp.stack([_powers(leaves[index], order, norm) for index in members])
            summed = jax.lax.psum(own, group)
            whole = summed if order == 0 else _power(summed, 1.0 / order)
        for index, each in zip(members, whole, strict=True):
            norms[index] = each
    return [each for each in norms if each is not None]


def _powers(leaf: jax.Array, order: float, norm: Callable[..., jax.Array]) -> jax.Array:
    """Return the sum of powers whose root is the norm; of order 0, the count."""
    if order == 0:
        return norm(leaf, order)
    if order == 2:
        return jnp.sum(leaf.real**2 + leaf.imag**2 if jnp.iscomplexobj(leaf) else leaf**2)
    return jnp.sum(_power(jnp.abs(leaf), order))


def _power(base: jax.Array, exponent: float) -> jax.Array:
    """Return a power whose derivative at 0 is 0, as PyTorch's norms have it."""
    if exponent < 0:
        return base**exponent
    is_zero = base == 0
    return jnp.where(is_zero, base, jnp.where(is_zero, jnp.ones_like(base), base) ** exponent)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _extremes(
    leaves: tuple[jax.Array, ...], axes: tuple[str, ...], order: float, norm: Callable[..., Any]
) -> jax.Array:
    """Return the largest or smallest over devices; NaN, which XLA's reductions lose, stays."""
    norms = jnp.stack([norm(leaf, order) for leaf in leaves])
    found = jax.lax.pmax(norms, axes) if order > 0 else jax.lax.pmin(norms, axes)
    spoiled = jax.lax.psum(jnp.isnan(norms).astype(jnp.int32), axes) > 0
    return jnp.where(spoiled, jnp.full_like(found, jnp.nan), found)


@_extremes.defjvp
def _extremes_jvp(
    axes: tuple[str, ...], order: float, norm: Callable[..., Any], primals: Any, tangents: Any
) -> Any:
    """Return the extremes and their derivative: shared by all entries that are as large."""
    (leaves,), (moves,) = primals, tangents
    extremes = _extremes(leaves, axes, order, norm)
    counts, slopes = [], []
    for leaf, move, extreme in zip(leaves, moves, extremes, strict=True):
        is_extreme = jnp.abs(leaf) == extreme.astype(leaf.real.dtype)
        slope = jnp.where(is_extreme, (jnp.conj(jnp.sign(leaf)) * move).real, 0.0)
        counts.append(jnp.sum(is_extreme))
        slopes.append(jnp.sum(slope))
    count = jax.lax.psum(jnp.stack(counts), axes).astype(extremes.dtype)
    return extremes, jax.lax.psum(jnp.stack(slopes), axes) / count


def _is_axes(node: Any) -> bool:
    """Return whether a node of ``axis_name`` is a name, several, or none."""
    is_several = type(node) in (tuple, list) and all(isinstance(each, str) for each in node)
    return node is None or isinstance(node, str) or is_several


def _as_axes(node: Any) -> tuple[str, ...]:
    """Return names as a tuple."""
    if not _is_axes(node):
        raise TypeError(
            f"axis_name must be made of the names of mapped axes and None, got {node!r}"
        )
    return () if node is None else (node,) if isinstance(node, str) else tuple(node)


def _has_types(axis: str) -> bool:
    """Return whether types say what differs over an axis, or there is one device, so all is one."""
    try:
        index = jax.lax.axis_index(axis)
    except NameError as error:
        raise ValueError(
            f"axis_name: no mapped axis {axis!r} here; it is that of a shard_map or pmap around "
            "this call. Under jit gradients are whole: leave axis_name out"
        ) from error
    return axis in jax.typeof(index).manual_axis_type.varying or jax.lax.axis_size(axis) == 1


def _is_spread(leaf: Any, axis: str, is_typed: bool) -> bool:
    """Return whether each device has another piece of a leaf that is said to lie over an axis."""
    return not is_typed or axis in jax.typeof(leaf).manual_axis_type.varying


def _example(tensors: Any) -> str:
    """Return the name of a leaf at the top of a tree, for an error."""
    found = jax.tree_util.tree_leaves_with_path(tensors)
    return path_name(found[0][0][:1]) if found else ""
