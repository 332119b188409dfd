"""Rows of a table, what the embeddings are made of."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._types import Generator
from jaxaccel.init import normal
from jaxaccel.nn._arguments import parameter_dtype, params_key


def new_table(
    num_embeddings: int,
    embedding_dim: int,
    padding_idx: int | None,
    dtype: Any,
    rngs: nnx.Rngs | Generator,
) -> nnx.Param[jax.Array]:
    """Draw a table from PyTorch's N(0, 1), the padding's row as zeros."""
    shape = (num_embeddings, embedding_dim)
    if min(shape) < 0:
        raise ValueError(
            f"Trying to create tensor with negative dimension {min(shape)}: {[*shape]}"
        )
    weight = normal(layout="torch")(params_key(rngs), shape, parameter_dtype(dtype))
    if padding_idx is not None:
        weight = weight.at[padding_idx].set(0)
    return nnx.Param(weight)


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


def rows_of(weight: jax.Array, input: jax.Array) -> jax.Array:
    """Look the rows up; NaN where there is none."""
    return weight.at[input].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def renormalized(
    weight: jax.Array, input: jax.Array, max_norm: float, norm_type: float
) -> jax.Array:
    """Return the table with the rows that are looked up at most ``max_norm`` long.

    Its gradient is the table's: in PyTorch this happens before the differentiated part.
    """
    fixed = jax.lax.stop_gradient(weight)
    rows = rows_of(fixed, input)
    norm = jnp.linalg.norm(rows, norm_type, axis=-1, keepdims=True)
    scaled = jnp.where(norm > max_norm, rows * (max_norm / (norm + 1e-7)), rows)
    new = fixed.at[input].set(scaled, mode="drop", wrap_negative_indices=False)
    return with_gradient_of(weight, new)


def frequencies(input: jax.Array, rows: int) -> jax.Array:
    """Return for each integer of the input how often the input names it."""
    counts = jnp.zeros(rows, jnp.int32)
    counts = counts.at[input].add(1, mode="drop", wrap_negative_indices=False)
    return counts.at[input].get(mode="fill", fill_value=1, wrap_negative_indices=False)


@jax.custom_jvp
def with_gradient_of(carrier: jax.Array, value: jax.Array) -> jax.Array:
    """Return ``value`` with the derivative of ``carrier``, in both modes of differentiation."""
    return value


@with_gradient_of.defjvp
def _jvp(primals: Any, tangents: Any) -> Any:
    """Return the value and the carrier's tangent."""
    return primals[1], tangents[0]
