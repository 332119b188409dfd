"""Products in float8, each operand scaled by its own largest number."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._gradient import with_float32_sums

FLOAT8 = (jnp.dtype(jnp.float8_e4m3fn), jnp.dtype(jnp.float8_e5m2))
"""The dtypes of operands. Cotangents, which spread wider, are always ``e5m2``."""


def float8_dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, dtype: Any) -> jax.Array:
    """Return ``lax.dot_general`` of two arrays in float8, summed in float32, in their own dtype.

    The backward pass multiplies the cotangent in ``e5m2`` with the same operands.
    """
    return _product(dimension_numbers, jnp.dtype(dtype), lhs, rhs)


def float8_linear(dtype: Any, input: Any, weight: Any, bias: Any = None) -> jax.Array:
    """Return ``functional.linear`` with its product in float8; the bias is added to it."""
    dims = ((input.ndim - 1,), (0,)), ((), ())
    output = float8_dot_general(input, weight, dims, dtype)
    if bias is None:
        return output
    return output + with_float32_sums(jax.lax.expand_dims(bias, range(output.ndim - 1)), output)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _product(dims: Any, dtype: Any, lhs: Any, rhs: Any) -> jax.Array:
    """Return the product."""
    return _forward(dims, dtype, lhs, rhs)[0]


def _forward(dims: Any, dtype: Any, lhs: Any, rhs: Any) -> Any:
    """Return the product in the operands' dtype; both in float8, with their scales, are kept."""
    operands = scaled_to(lhs, dtype), scaled_to(rhs, dtype)
    return _multiplied(*operands, dims).astype(lhs.dtype), operands


def _backward(dims: Any, dtype: Any, kept: Any, cotangent: Any) -> tuple[Any, Any]:
    """Return the gradients of both operands."""
    del dtype
    lhs, rhs = kept
    (left, right), (left_batch, right_batch) = dims
    scaled = scaled_to(cotangent, jnp.float8_e5m2)
    batch, rows = len(left_batch), lhs[0].ndim - len(left)  # rows: where those of lhs end
    of_rows, of_columns = range(batch, rows), range(rows, cotangent.ndim)
    sides = (left, left_batch, lhs), (right, right_batch, rhs)
    found = [
        _gradient(scaled, of_columns, sides[0], sides[1]),
        _gradient(scaled, of_rows, sides[1], sides[0]),
    ]
    return found[0].astype(cotangent.dtype), found[1].astype(cotangent.dtype)


def _gradient(scaled: Any, summed: Any, own: Any, other: Any) -> jax.Array:
    """Return the gradient of one operand: the cotangent times the other one, axes put back.

    What comes out has the axes of the batch, the operand's free ones, and the contracted ones in
    the order that they have in the other operand.
    """
    (contracted, batch, (array, _)), (of_other, batch_of_other, factor) = own, other
    free = _others(factor[0].ndim, of_other, batch_of_other)
    dims = (tuple(summed), free), (tuple(range(len(batch))), tuple(batch_of_other))
    places = [*batch, *_others(array.ndim, contracted, batch)]
    places += [contracted[i] for i in np.argsort(of_other)]
    return jnp.transpose(_multiplied(scaled, factor, dims), np.argsort(places).tolist())


def _others(ndim: int, *taken: Any) -> tuple[int, ...]:
    """Return the axes that are in none of some groups."""
    return tuple(axis for axis in range(ndim) if not any(axis in group for group in taken))


_product.defvjp(_forward, _backward)


def scaled_to(array: Any, dtype: Any) -> tuple[jax.Array, jax.Array]:
    """Return an array in float8, its largest number at the dtype's, and what undoes that."""
    largest = jnp.max(jnp.abs(array), initial=0).astype(jnp.float32)
    limit = float(jnp.finfo(dtype).max)
    is_usable = jnp.isfinite(largest) & (largest > 0)
    unit = jnp.where(is_usable, largest / limit, jnp.float32(1))
    return (array.astype(jnp.float32) / unit).astype(dtype), unit


def _multiplied(lhs: Any, rhs: Any, dims: Any) -> jax.Array:
    """Return the product of two scaled arrays in float32."""
    (a, of_a), (b, of_b) = lhs, rhs
    found = jax.lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)
    return found * (of_a * of_b)
