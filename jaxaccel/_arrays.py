"""What JAX computes with: arrays, numbers and what stands for an array."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer


def has_numbers(dtype: Any) -> bool:
    """Return whether a dtype is one of numbers, and not of objects, texts, dates or JAX's keys."""
    # bfloat16 and its kin are void to NumPy, but not np.void.
    return isinstance(dtype, np.dtype) and dtype.kind not in "OSUMm" and dtype.type is not np.void


def is_array(value: Any) -> bool:
    """Return whether JAX takes something as an array, or as its keys."""
    if isinstance(value, (np.ndarray, np.generic)):
        return has_numbers(value.dtype) and not isinstance(value, np.ma.MaskedArray)
    if isinstance(value, int):
        return value.bit_length() < 8 * jax.dtypes.canonicalize_dtype(int).itemsize
    return isinstance(value, (jax.Array, float, complex)) or hasattr(value, "__jax_array__")


def known_values(array: Any) -> np.ndarray | None:
    """Return an array's numbers; None in a compiled program, or where other processes hold some."""
    if isinstance(array, Tracer) or not getattr(array, "is_fully_addressable", True):
        return None
    return np.asarray(array)
