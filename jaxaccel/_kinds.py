"""The kinds of values that a public function is given: what fits, and what is said of the rest."""

from __future__ import annotations

import numbers
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import Tracer

from jaxaccel._arrays import has_numbers
from jaxaccel._checks import as_integer
from jaxaccel._functions import is_function
from jaxaccel._math import Complement


class MisfitError(Exception):
    """A value is not of the kind that is asked for."""


class Kind(NamedTuple):
    """What fits an argument."""

    what: str
    """In words, after "must be": PyTorch's, where it has some."""
    types: set[type]
    """A value of exactly one of these types fits as it is."""
    take: Callable[[Any], Any]
    """Return any other value as the function gets it, or raise :class:`MisfitError`."""
    element: Kind | None = None
    """The kind of what a sequence holds."""
    is_number: bool = False
    """Whether it may be a number of Python's."""
    made_by: type | None = None
    """A class whose instances fit."""

    def fit(self, value: Any) -> Any:
        """Return a value as the function gets it, or raise :class:`MisfitError`."""
        return value if type(value) in self.types else self.take(value)

    def fits(self, value: Any) -> bool:
        """Return whether a value fits."""
        try:
            self.fit(value)
        except MisfitError:
            return False
        return True


_LIMIT = 2**63
"""Integers are those of 64 bits, signed or, as seeds, not."""
_LARGEST = 1024
"""So many bits of an integer a float holds."""
_OF_JAX = 32
"""An integer of so many bits overflows beside JAX's arrays; as a float it does not."""


def misfit(value: Any) -> Any:
    """Refuse a value."""
    raise MisfitError


def found_instead(kind: Kind, value: Any) -> str:
    """Return what was found instead of what is asked for, as PyTorch says it."""
    if kind.element is not None and isinstance(value, (list, tuple, str)):
        for place, each in enumerate(value):
            try:
                kind.element.fit(each)
            except MisfitError:
                return f"but found element of type {type(each).__name__} at pos {place}"
    return f"not {type(value).__name__}"


def _take_bool(value: Any) -> bool:
    if isinstance(value, np.bool_):
        return bool(value)
    is_known = isinstance(value, (np.ndarray, jax.Array)) and not isinstance(value, Tracer)
    return bool(value) if is_known and value.dtype == bool and value.ndim == 0 else misfit(value)


def _take_int(value: Any) -> int:
    if type(value) is int and -_LIMIT <= value < 2 * _LIMIT:
        return value
    found = as_integer(value)
    if found is None:
        raise MisfitError
    return found


def _take_whole(value: Any) -> Any:
    found = as_integer(value)
    if found is not None:
        return found
    if type(value) is int:
        raise MisfitError
    if isinstance(_take_float(value), Tracer) or not float(value).is_integer():
        raise MisfitError
    return value


def _take_float(value: Any) -> Any:
    if type(value) is int:
        if value.bit_length() > _LARGEST:
            raise MisfitError
        return value if value.bit_length() < _OF_JAX else float(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return value if isinstance(value, (float, np.number)) else float(value)
    # A number may be traced, or lie on a device.
    value = _take_array(value)
    if np.ndim(value) or value.dtype.kind in "bc":
        raise MisfitError
    # Under a trace, what JAX computes with a number that is at hand is traced too.
    is_known = isinstance(value, jax.Array) and not isinstance(value, Tracer)
    return value.item() if is_known else value


def _take_array(value: Any) -> Any:
    if type(value) not in _JAX_ARRAYS:
        return _take_first(value)
    # A random key has a dtype of JAX's own.
    return value if has_numbers(value.dtype) else misfit(value)


def _take_first(value: Any) -> Any:
    """Take an array of a type that was not there before, or one of NumPy's."""
    if isinstance(value, jax.Array):
        if type(value).__module__.startswith("jax"):
            _JAX_ARRAYS.add(type(value))
        return value if has_numbers(value.dtype) else misfit(value)
    if not isinstance(value, (np.ndarray, np.generic)):
        # What stands for an array, such as a variable of nnx, says so; not all of JAX asks it.
        return (
            _take_array(value.__jax_array__()) if hasattr(value, "__jax_array__") else misfit(value)
        )
    if isinstance(value, np.ma.MaskedArray) or not has_numbers(value.dtype):
        raise MisfitError
    # A matrix, say, multiplies as no array does.
    return value if isinstance(value, np.generic) else np.asarray(value)


_JAX_ARRAYS: set[type] = set()
"""The types of JAX's own arrays, and tracers, that have come so far; a user's may go again."""


def _take_scalar(value: Any) -> Any:
    if isinstance(value, (numbers.Real, Complement)) and not isinstance(value, bool):
        return value
    return _take_array(value)


ANYTHING = Kind("anything", set(), lambda value: value)
BOOL = Kind("bool", {bool}, _take_bool)
INT = Kind("int", set(), _take_int, is_number=True)
WHOLE = Kind("int", set(), _take_whole, is_number=True)
"""A count, of which PyTorch often also takes ``10.0``; the body says where it does not."""
FLOAT = Kind("float", {float}, _take_float, is_number=True)
TEXT = Kind("str", {str}, lambda value: value if isinstance(value, str) else misfit(value))
ARRAY = Kind("array", set(), _take_array)
NONE = Kind("None", {type(None)}, misfit)
FUNCTION = Kind(
    "function", {types.FunctionType}, lambda value: value if is_function(value) else misfit(value)
)
SCALAR = Kind("float or scalar array", {float, int}, _take_scalar, is_number=True)
HYPERPARAMETER = Kind(
    "a number, a JAX scalar or a schedule (a function of the step)",
    {float, int},
    lambda value: value if is_function(value) else _take_scalar(value),
    is_number=True,
)
