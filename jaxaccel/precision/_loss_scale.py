"""The arithmetic of a loss scale: multiplied, taken off gradients, grown and reduced."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype

_SMALLEST_NORMAL = 0x00800000
"""The bits of float32's 2**-126, below which XLA takes a number for 0."""
_ONE = 0x3F800000
_SIGN = -(2**31)


def scaled(output: jax.Array, scale: jax.Array) -> jax.Array:
    """Return an output times the scale: one number in at least float32, an array in its dtype."""
    dtype = compute_dtype(output.dtype)
    product = output.astype(dtype) * scale.astype(dtype)
    return product if output.ndim == 0 else product.astype(output.dtype)


def unscaled(grad: jax.Array, scale: jax.Array) -> jax.Array:
    """Return a gradient times the inverse of the scale, in its dtype, but float16 in float32.

    PyTorch's inverse of a scale above 2**126 is subnormal, which XLA takes for 0: there the product
    is taken in two steps.
    """
    dtype = compute_dtype(grad.dtype)
    is_large = scale > 2.0**64
    first = 1 / jnp.where(is_large, scale * 2.0**-64, scale)
    second = jnp.where(is_large, jnp.float32(2.0**-64), jnp.float32(1))
    product = grad.astype(dtype) * first.astype(dtype) * second.astype(dtype)
    return product if grad.dtype == jnp.float16 else product.astype(grad.dtype)


def next_scale(
    scale: Any,
    growth_tracker: Any,
    found_inf: Any,
    growth_factor: Any,
    backoff_factor: Any,
    growth_interval: Any,
) -> tuple[Any, Any]:
    """Return the scale and the count of good steps in a row after one more step."""
    successful = growth_tracker + 1
    grows = successful == growth_interval
    grown = product(scale, growth_factor)
    grown = jnp.where(jnp.isfinite(grown), grown, scale)
    good = jnp.where(grows, grown, scale)
    new_scale = jnp.where(found_inf, product(scale, backoff_factor), good)
    return new_scale, jnp.where(found_inf | grows, jnp.zeros_like(successful), successful)


def product(scale: Any, factor: Any) -> Any:
    """Return the product of two float32 numbers, the second normal and positive, as IEEE has it.

    XLA takes subnormal operands and results for 0, where PyTorch's scale goes on down to 2**-149.
    So below 1 the product is formed 2**64 times larger, and its bits are set.
    """
    bits = jax.lax.bitcast_convert_type(scale, jnp.int32)
    magnitude = bits & 0x7FFFFFFF
    absolute = jax.lax.bitcast_convert_type(magnitude, jnp.float32)
    lifted = jnp.where(
        magnitude < _SMALLEST_NORMAL,
        magnitude.astype(jnp.float32) * 2.0 ** (64 - 149),
        absolute * 2.0**64,
    )
    raised = lifted * factor
    subnormal = jnp.round(raised * 2.0 ** (149 - 64)).astype(jnp.int32)
    is_normal = raised >= 2.0 ** (64 - 126)
    normal = jax.lax.bitcast_convert_type(raised * 2.0**-64, jnp.int32)
    small = jnp.where(is_normal, normal, subnormal)
    plain = jax.lax.bitcast_convert_type(absolute * factor, jnp.int32)
    found = jnp.where(magnitude < _ONE, small, plain) | (bits & _SIGN)
    return jax.lax.bitcast_convert_type(found, jnp.float32)
