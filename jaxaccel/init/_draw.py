"""The one place where initial weights are drawn.

With a JAX key an array is drawn where it will live, sharded if the compiler is asked for it. With a
:class:`jaxaccel.random.Generator` it is drawn on the host in PyTorch's layout, with PyTorch's bits,
and then turned into the layout asked for.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checks import check_std
from jaxaccel._filled import on_device
from jaxaccel._keys import is_key, is_raw_key
from jaxaccel._layout import from_torch, shape_in_torch
from jaxaccel._math import compute_dtype
from jaxaccel._types import Key, is_generator
from jaxaccel.init._pieces import (
    draws_in_pieces,
    in_pieces,
    in_range,
    overflows_to_infinity,
    placed_by,
    standard_normal,
)


def uniform(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any,
    low: float,
    high: float,
    layout: str = "torch",
) -> jax.Array:
    """Draw from U[low, high); half precision is drawn in float32 and rounded, as in PyTorch."""
    check_range(low, high)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    if _is_generator(key):
        return _placed(key.uniform(shape_in_torch(shape, layout), low, high, dtype), layout)
    wide = compute_dtype(dtype)
    pieces = draws_in_pieces(key, shape, wide)
    xp: Any = np if pieces else jnp
    value: Any
    if pieces:
        with overflows_to_infinity():
            value = in_pieces(in_range, key, shape, wide, low, high).astype(dtype)
    else:
        value = jax.random.uniform(key, shape, wide, low, high).astype(dtype)
    if wide != dtype:
        # Rounding can reach the open end; PyTorch then takes the other one.
        value = xp.where(value == xp.asarray(high, dtype), xp.asarray(low, dtype), value)
    return placed_by(key, value) if pieces else value


def normal(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any,
    mean: float,
    std: float,
    layout: str = "torch",
) -> jax.Array:
    """Draw from N(mean, std^2), not truncated; half precision is drawn in float32."""
    check_std(std)
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    if _is_generator(key):
        return _placed(key.normal(shape_in_torch(shape, layout), mean, std, dtype), layout)
    wide = compute_dtype(dtype)
    if draws_in_pieces(key, shape, wide):
        with overflows_to_infinity():
            value = in_pieces(standard_normal, key, shape, wide)
            return placed_by(key, (value * wide.type(std) + wide.type(mean)).astype(dtype))
    value = jax.random.normal(key, shape, wide)
    return (value * jnp.asarray(std, wide) + jnp.asarray(mean, wide)).astype(dtype)


def trunc_normal(
    key: Key,
    shape: tuple[int, ...],
    dtype: Any,
    mean: float,
    std: float,
    a: float,
    b: float,
    layout: str,
) -> jax.Array:
    """Draw from N(mean, std^2) within [a, b]; half precision is drawn in float32."""
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    if _is_generator(key):
        outer = shape_in_torch(shape, layout)
        return _placed(key.trunc_normal(outer, mean, std, a, b, dtype), layout)
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )
    wide = compute_dtype(dtype)
    # Small probabilities keep their digits and large ones do not: use the tail on the left.
    sign = -1.0 if a + b > 2 * mean else 1.0
    ends = sorted(sign * (end - mean) / std for end in (a, b))
    low, high = (0.5 * math.erfc(-end / math.sqrt(2)) for end in ends)
    if draws_in_pieces(key, shape, wide):
        ndtri = jax.scipy.special.ndtri
        with overflows_to_infinity():
            value = in_pieces(in_range, key, shape, wide, low, high, then=ndtri)
            value = value * wide.type(sign * std) + wide.type(mean)
            return placed_by(key, np.clip(value, wide.type(a), wide.type(b)).astype(dtype))
    value = jax.scipy.special.ndtri(jax.random.uniform(key, shape, wide, low, high))
    value = value * jnp.asarray(sign * std, wide) + jnp.asarray(mean, wide)
    return jnp.clip(value, jnp.asarray(a, wide), jnp.asarray(b, wide)).astype(dtype)


def permutations(key: Key, n: int, count: int) -> jax.Array:
    """Return ``count`` permutations of 0 to n - 1, each a column."""
    if _is_generator(key):
        columns = [key.randperm(n) for _ in range(count)]
        return on_device(np.array(columns, int).reshape(count, n).T)
    ordered = jnp.broadcast_to(jnp.arange(n)[:, None], (n, count))
    return jax.random.permutation(key, ordered, independent=True)


def split(key: Key) -> tuple[Any, Any]:
    """Return what draws two arrays: two keys, or twice the generator, which moves on by itself."""
    if _is_generator(key):
        return key, key
    first, second = jax.random.split(key)
    return first, second


def check_range(low: float, high: float) -> None:
    """Raise on a range whose ends are in the wrong order."""
    if low > high:
        raise ValueError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )


def _is_generator(key: Any) -> bool:
    """Return whether a generator draws, and not a JAX key; raise for what is neither."""
    if is_generator(key):
        return True
    if is_key(key) or is_raw_key(key):
        return False
    raise TypeError(
        "an initializer draws with a JAX key or a jaxaccel.random.Generator, but got "
        f"{type(key).__name__}. For a seed: jax.random.key(seed), or "
        "jaxaccel.random.manual_seed(seed) for PyTorch's own numbers; for an nnx.Rngs: "
        "rngs.params()"
    )


def _placed(array: np.ndarray, layout: str) -> jax.Array:
    """Put an array of PyTorch's layout on the device, in the layout asked for."""
    return on_device(from_torch(array, layout))
