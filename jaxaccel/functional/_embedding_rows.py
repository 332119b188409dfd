"""Rows of a table, what the embeddings are made of."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._gradient import with_gradient_of
from jaxaccel._math import compute_dtype


def check_integers(array: jax.Array, function: str) -> None:
    """Raise unless an array holds integers that PyTorch takes."""
    if array.dtype not in (jnp.int32, jnp.int64):
        raise TypeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got {array.dtype} instead (while checking arguments for {function})"
        )


def first_outside(input: jax.Array, rows: int) -> int | None:
    """Return the first integer that has no row; None where there is none or it is not known."""
    if isinstance(input, Tracer):
        return None
    values = np.asarray(input)
    outside = values[(values < 0) | (values >= rows)]
    return int(outside[0]) if outside.size else None


def wide_rows_of(weight: jax.Array, input: jax.Array) -> jax.Array:
    """Look the rows up, in float32 at least; the gradients of a row are summed so too.

    The rows come out of the table itself, not out of a copy in float32.
    """
    wide, rows = compute_dtype(weight.dtype), rows_of(weight, input)
    if rows.dtype == wide:
        return rows
    return with_gradient_of(rows_of(weight.astype(wide), input), rows.astype(wide))


def rows_of(weight: jax.Array, input: jax.Array) -> jax.Array:
    """Look the rows up; NaN where there is none."""
    if len(weight) == 0:
        return jnp.full((*input.shape, *weight.shape[1:]), jnp.nan).astype(weight.dtype)
    return (
        jnp.asarray(weight)
        .at[input]
        .get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
    )


def frequencies(input: jax.Array, rows: int) -> jax.Array:
    """Return for each integer of the input how often the input names it."""
    counts = jnp.zeros(rows, jnp.int32)
    counts = counts.at[input].add(1, mode="drop", wrap_negative_indices=False)
    return counts.at[input].get(mode="fill", fill_value=1, wrap_negative_indices=False)


def padding_row(padding_idx: int | None, rows: int, text: str) -> int | None:
    """Return the padding's row counted from the front; ``text`` is PyTorch's for one outside."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise ValueError(text)
    return padding_idx % rows


def check_table(name: str, weight: jax.Array) -> None:
    """Raise unless a table has rows."""
    if weight.ndim != 2:
        raise ValueError(
            f"'weight' must be 2-D\n{name}(): weight must be (num_embeddings, embedding_dim), but "
            f"got {weight.shape}"
        )
