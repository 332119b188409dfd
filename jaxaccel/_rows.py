"""A batch in parts: which axis of a leaf holds its rows, and what a part counts for."""

from __future__ import annotations

import numbers
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checks import as_integer
from jaxaccel._math import compute_dtype
from jaxaccel._tree import is_none


def row_axes(batch: Any, batch_axes: Any) -> list[int | None]:
    """Return for each leaf of a batch the axis that holds its rows; ``None`` where it has none.

    ``batch_axes`` is a prefix of the batch's tree, as ``jax.vmap``'s ``in_axes``. Scalars never
    have rows.
    """
    try:
        axes = jax.tree.broadcast(batch_axes, batch, is_leaf=is_none)
    except ValueError as error:
        raise ValueError(
            f"batch_axes must be an axis, None or a prefix of the batch's tree, as jax.vmap's "
            f"in_axes, got {batch_axes!r}: {error}"
        ) from error
    leaves = jax.tree_util.tree_leaves_with_path(batch, is_leaf=is_none)
    pairs = zip(leaves, jax.tree.leaves(axes, is_leaf=is_none), strict=True)
    return [_row_axis(path, leaf, axis) for (path, leaf), axis in pairs if leaf is not None]


def _row_axis(path: Any, leaf: Any, axis: Any) -> int | None:
    """Return the axis as a number from 0, or ``None``."""
    axes = len(getattr(leaf, "shape", ()))
    if axis is None or axes == 0:
        return None
    found = as_integer(axis)
    if found is None or not -axes <= found < axes:
        raise ValueError(
            f"batch_axes gives axis {axis!r} to {_name(path)}, which has {axes} axes; name one of "
            "them, or None for a leaf without rows"
        )
    return found % axes


def count_rows(batch: Any, axes: list[int | None]) -> int | None:
    """Return the number of rows on which all leaves agree; ``None`` where no leaf has rows."""
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    rows = {
        _name(path): leaf.shape[axis]
        for (path, leaf), axis in zip(leaves, axes, strict=True)
        if axis is not None
    }
    if len(set(rows.values())) > 1:
        found = ", ".join(f"{name} -> {count}" for name, count in rows.items())
        raise ValueError(
            f"the leaves of a batch disagree on the number of rows: {found}; say with batch_axes "
            "which axis of a leaf holds the rows (as jax.vmap's in_axes), None for one without "
            "rows, such as a table or a raw random key"
        )
    return next(iter(rows.values()), None)


def as_weight(value: Any) -> jax.Array:
    """Return what a part counts for, as the user's ``weight`` returned it, as a float."""
    kind = value.dtype.kind if isinstance(value, (jax.Array, np.ndarray)) else ""
    is_real = isinstance(value, numbers.Real) or kind in {*"biuf", "V"}  # V: bfloat16 and others
    if not is_real or getattr(value, "shape", ()):
        raise TypeError(
            "weight must return one real number, what the rows count for together, got "
            f"{value!r}; sum over the rows"
        )
    return jnp.asarray(value).astype(float)


def seeds_of(weights: jax.Array, total: jax.Array, count: int) -> jax.Array:
    """Return factors on the losses of ``count`` parts whose mean is 1; 0 where ``total`` is 0.

    The plain mean of the parts' gradients is then the weighted one, and factors of nested parts
    multiply to the right one in any order.
    """
    return weights * count / jnp.where(total == 0, jnp.ones_like(total), total)


def scaled_by(seed: jax.Array | None, loss_scale: Any) -> Any:
    """Return the ``loss_scale`` that carries a part's seed on to the loss."""
    if seed is None or loss_scale is None:
        return loss_scale if seed is None else seed
    return seed * jnp.asarray(loss_scale, seed.dtype)


def share_of_gradient(grad: jax.Array, seed: jax.Array | None) -> jax.Array:
    """Return a part's gradient; where it counts for nothing, without what is not finite.

    What is finite stays: it may be the share of a term that other parts have summed up.
    """
    if seed is None:
        return grad
    return jnp.where((seed == 0) & ~jnp.isfinite(grad), jnp.zeros_like(grad), grad)


def share_of_metric(metric: Any, seed: jax.Array | None) -> jax.Array:
    """Return a part's metric, to be averaged plainly, in at least float32."""
    metric = jnp.asarray(metric)
    metric = metric.astype(compute_dtype(metric.dtype))
    if seed is None:
        return metric
    return jnp.where(seed == 0, jnp.zeros_like(metric), metric * seed.astype(metric.dtype))


def _name(path: Any) -> str:
    """Return a leaf's place in the batch, as Python writes it."""
    return f"batch{jax.tree_util.keystr(path)}"
