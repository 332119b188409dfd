"""A JAX key's numbers, drawn in pieces of one length: one program serves the arrays of all shapes.

The bits of an element are threefry's hash of the key and the element's place in the flat array
(JAX's partitionable stream), so that a piece is the same wherever it is cut. To draw each array in
a program of its own costs half a second of compilation for every shape of a model.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.random import threefry_2x32
from jax.sharding import SingleDeviceSharding

from jaxaccel._filled import fills_on_host
from jaxaccel._keys import is_one_key

_LENGTH = 1 << 16
_WORDS: dict[Any, Any] = {np.dtype(np.float32): jnp.uint32, np.dtype(np.float64): jnp.uint64}


def draws_in_pieces(key: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    """Return whether an array is drawn in pieces: from a key that is at hand, on one device.

    Where JAX is tracing (``jit``, ``eval_shape``), on meshes, with other streams than JAX's default
    one and beyond the size that the host fills, it is drawn in one program, where it will live.
    """
    return (
        dtype in _WORDS
        and fills_on_host(shape)
        and is_one_key(key)
        and isinstance(getattr(key, "sharding", None), SingleDeviceSharding)
        and jax.random.key_impl(key) == "threefry2x32"
        and getattr(jax.config, "jax_threefry_partitionable")  # noqa: B009  (JAX adds it later)
    )


def in_pieces(
    sample: Callable[..., Any],
    key: Any,
    shape: tuple[int, ...],
    dtype: Any,
    *numbers: float,
    then: Callable[[jax.Array], jax.Array] | None = None,
) -> np.ndarray:
    """Return ``sample(share, *numbers)`` of the numbers in [0, 1) that the key has for a shape.

    ``then`` is applied to the pieces outside of their program: fused with it, its last bits would
    be others.
    """
    size = math.prod(shape)
    given = [np.asarray(number, dtype) for number in numbers]
    parts = [
        _piece(sample, np.dtype(dtype), key, np.uint32(start), *given)
        for start in range(0, size, _LENGTH)
    ]
    if then is not None:
        parts = map(then, parts)
    flat = np.empty(size, dtype)
    for index, part in enumerate(parts):
        place = flat[index * _LENGTH : (index + 1) * _LENGTH]
        place[:] = np.asarray(part)[: place.size]
    return flat.reshape(shape)


def placed_by(key: Any, array: np.ndarray) -> jax.Array:
    """Return an array where JAX would have drawn it: with its key."""
    return jax.device_put(array, key.sharding) if key.committed else jax.device_put(array)


def in_range(share: Any, low: Any, high: Any) -> Any:
    """Return ``jax.random.uniform``'s number between two others."""
    return jax.lax.max(low, share * (high - low) + low)


def standard_normal(share: Any) -> Any:
    """Return ``jax.random.normal``'s number."""
    dtype = share.dtype
    low = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
    between = in_range(share, low, jnp.asarray(1, dtype))
    return jnp.asarray(np.sqrt(2), dtype) * jax.lax.erf_inv(between)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _piece(
    sample: Callable[..., Any], dtype: Any, key: Any, start: Any, *numbers: Any
) -> jax.Array:
    """Return the numbers of ``_LENGTH`` elements, from the one at ``start``."""
    word, bits = _WORDS[dtype], 8 * dtype.itemsize
    low = start + jnp.arange(_LENGTH, dtype=jnp.uint32)
    hashed = threefry_2x32(jax.random.key_data(key), jnp.concatenate([jnp.zeros_like(low), low]))
    first, second = hashed[:_LENGTH].astype(word), hashed[_LENGTH:].astype(word)
    words = first ^ second if bits == 32 else (first << word(32)) | second
    one = np.ones((), dtype).view(words.dtype)
    mantissa = words >> word(bits - jnp.finfo(dtype).nmant)
    share = jax.lax.bitcast_convert_type(mantissa | one, dtype) - jnp.ones((), dtype)
    return sample(share, *numbers)


def overflows_to_infinity() -> np.errstate:
    """Return the context in which NumPy, as JAX, makes infinity of what a dtype cannot hold."""
    return np.errstate(all="ignore")
