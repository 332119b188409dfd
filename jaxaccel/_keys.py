"""JAX's random keys: what is one, and which are taken."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def is_key(value: Any) -> bool:
    """Return whether something is an array of typed random keys."""
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_raw_key(value: Any) -> bool:
    """Return whether an array can be a raw key: it has the dtype, and an axis of words."""
    is_array = isinstance(value, (jax.Array, np.ndarray))
    return is_array and value.dtype == np.uint32 and value.ndim > 0


def is_one_key(value: Any) -> bool:
    """Return whether something is one key, typed or raw, and not several."""
    return (is_key(value) and value.ndim == 0) or (is_raw_key(value) and value.ndim == 1)


def check_random_key(key: Any, *, may_be_raw: bool = True) -> None:
    """Raise for what is not a random key, and where it must be typed for a raw one.

    No function can tell a raw key from numbers, so that all devices would draw alike.
    """
    if key is None or is_key(key) or (may_be_raw and is_raw_key(key)):
        return
    raise TypeError(f"key must be a typed key, got {key!r:.80}; pass jax.random.key(seed)")
