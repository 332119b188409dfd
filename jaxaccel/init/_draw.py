"""The one place where initial weights are drawn."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype
from jaxaccel._types import Key


def uniform(key: Key, shape: tuple[int, ...], dtype: Any, low: float, high: float) -> jax.Array:
    """Draw from U[low, high); half precision is drawn in float32 and rounded, as in PyTorch."""
    if low > high:
        raise ValueError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    wide = compute_dtype(dtype)
    value = jax.random.uniform(key, shape, wide, low, high).astype(dtype)
    if wide == dtype:
        return value
    # Rounding can reach the open end; PyTorch then takes the other one.
    return jnp.where(value == jnp.asarray(high, dtype), jnp.asarray(low, dtype), value)


def normal(key: Key, shape: tuple[int, ...], dtype: Any, mean: float, std: float) -> jax.Array:
    """Draw from N(mean, std^2), not truncated; half precision is drawn in float32."""
    if std < 0:
        raise ValueError(f"normal expects std >= 0.0, but found std {std:g}")
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    wide = compute_dtype(dtype)
    value = jax.random.normal(key, shape, wide)
    return (value * jnp.asarray(std, wide) + jnp.asarray(mean, wide)).astype(dtype)
