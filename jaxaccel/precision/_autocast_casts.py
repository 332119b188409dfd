"""Values of an autocast region, and their casts."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._math import widest
from jaxaccel._operations import ELIGIBLE, HALVES


class Value(NamedTuple):
    """An array inside a region, in the dtype that it really has."""

    array: Any
    is_weak: bool = False
    """A number, or made from numbers alone: it widens nothing, as PyTorch's 0-dim tensors."""
    is_vector: bool = False
    """One number for each feature, spread over rows at most: a bias."""
    is_product: bool = False
    """What a product of matrices or a convolution returned."""


def value_of(
    array: Any, is_weak: bool = False, is_vector: bool = False, is_product: bool = False
) -> Value:
    """Return an array as a value: one number alone widens nothing, one axis of them is a vector."""
    ndim = np.ndim(array)
    return Value(array, is_weak or ndim == 0, is_vector or ndim == 1, is_product)


def is_eligible(dtype: Any) -> bool:
    """Return whether a dtype is one that autocast casts."""
    return dtype in ELIGIBLE


def is_floating(value: Value) -> bool:
    """Return whether a value is an array that autocast casts."""
    return getattr(value.array, "dtype", None) in ELIGIBLE


def is_half(array: Any) -> bool:
    """Return whether an array is in half precision."""
    return array.dtype in HALVES


def cast(value: Value, dtype: Any) -> Value:
    """Return a value in a dtype; what autocast does not cast comes back as it is."""
    if not is_floating(value) or value.array.dtype == dtype:
        return value
    return value._replace(array=_converted(value, jnp.dtype(dtype)))


def cast_array(array: Any, dtype: Any) -> Any:
    """Return an array in a dtype, if it is one that autocast casts."""
    return cast(Value(array), dtype).array


def _converted(value: Value, dtype: np.dtype) -> Any:
    """Return the array in a dtype; finite numbers stay finite where they stand for a mask.

    ``finfo(x.dtype).min`` is read by Python while all is float32: in float16 it would be -inf, and
    the softmax of a row of it NaN.
    """
    array = value.array
    overflows = value.is_weak and dtype == jnp.float16 and array.dtype != dtype
    if isinstance(array, np.ndarray | np.generic):
        if overflows and np.isfinite(array):
            limit = float(jnp.finfo(dtype).max)
            array = np.clip(np.asarray(array, np.float32), -limit, limit)
        return np.asarray(array, dtype)
    if overflows:
        limit = float(jnp.finfo(dtype).max)
        array = jnp.where(jnp.isfinite(array), jnp.clip(array, -limit, limit), array)
    return jax.lax.convert_element_type(array, dtype)


def arrays_in(values: Iterable[Value], dtypes: Iterable[Any]) -> list[Any]:
    """Return the arrays of values, each in its dtype, where that is one that autocast casts."""
    return [
        cast(value, dtype).array if is_eligible(dtype) else value.array
        for value, dtype in zip(values, dtypes, strict=True)
    ]


def counting(values: Iterable[Value]) -> list[Value]:
    """Return the values that decide on a dtype: arrays, or numbers where there is nothing else."""
    floats = [value for value in values if is_floating(value)]
    return [value for value in floats if not value.is_weak] or floats


def widest_of(values: Iterable[Value]) -> Any:
    """Return the widest dtype among the values that count, or None where none is cast."""
    found = counting(values)
    return widest(*(value.array.dtype for value in found)) if found else None


def spread(value: Value, shape: tuple[int, ...], dtype: Any) -> Value:
    """Return a value broadcast to a shape and cast, whose gradient is summed in float32.

    A sum over rows in half precision stands still after some hundred of them, and XLA sums in the
    dtype of what is broadcast.
    """
    wide = cast(value, jnp.float32)
    array = wide.array
    if np.ndim(array) < len(shape):
        array = jax.lax.expand_dims(array, range(len(shape) - np.ndim(array)))
    array = jnp.broadcast_to(array, shape)
    return cast(value._replace(array=array), dtype)


def grows(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Return whether something of one shape is repeated to have the other."""
    return math.prod(before) < math.prod(after)


def dtypes_of(values: Iterable[Value]) -> tuple[Any, ...]:
    """Return the dtypes of values, for the key of a cache."""
    return tuple(getattr(value.array, "dtype", None) for value in values)


widen = functools.partial(cast, dtype=jnp.float32)
