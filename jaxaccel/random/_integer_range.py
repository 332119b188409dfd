"""The range of a draw of integers: PyTorch's checks, and how it fits a range to a dtype."""

from __future__ import annotations

import operator
import warnings
from typing import Any

import numpy as np

from jaxaccel.random._dtypes import (
    COMPLEX,
    UNSIGNED,
    ScalarType,
    check_supported,
    names_but,
    rounded,
)

_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1


def checked_range(scalar: ScalarType, low: int | None, high: int | None) -> tuple[int, int]:
    """Return the first number and how many there are, with PyTorch's checks and adjustments."""
    first = 0 if low is None else _long("low", low)
    last = None if high is None else _long("high", high)
    if last is None and first == _LONG_MIN:
        _check_full_range(scalar)
        return 0, 1 << 64  # the words as they are
    if last is None:
        first, stop = _open_range(scalar, first)
    else:
        if first >= last:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={first} >= to={last}"
            )
        stop = last
        if scalar.is_floating:
            first, stop = _moved_up(scalar, first), _moved_down(scalar, last)
            if first >= stop:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to "
                    f"dtype, but got from={first} >= to={stop}"
                )
    _check_in_range(scalar, first, stop - 1)
    return first, stop - first


def _open_range(scalar: ScalarType, first: int) -> tuple[int, int]:
    """Return the range from ``first`` to the largest number that a dtype holds exactly."""
    if scalar.name in COMPLEX:
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean types"
        )
    if not scalar.is_floating:
        # PyTorch counts in int64, where the largest uint64 is -1.
        largest = 1 if scalar.name == "Bool" else int(np.iinfo(scalar.dtype).max)
        return first, (-1 if largest > _LONG_MAX else largest) + 1
    first, last = _moved_up(scalar, first), 1 << scalar.digits
    if first >= last:
        raise RuntimeError(
            "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' casted "
            f"to dtype, but got from={first} > to_inc={last}"
        )
    return first, last + 1


def _check_in_range(scalar: ScalarType, first: int, last: int) -> None:
    if scalar.name in COMPLEX:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    smallest, largest = _limits(scalar)
    for name, number in (("from", first), ("to - 1", last)):
        if not smallest <= number <= largest:
            raise RuntimeError(f"{name} is out of bounds for {scalar.cpp_name}")
        if scalar.is_floating and abs(number) > 1 << scalar.digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{scalar.digits}), 2^{scalar.digits}]. Due to "
                f"precision limitations {scalar.cpp_name} can support discrete uniform "
                "distribution only within this range.",
                UserWarning,
                stacklevel=5,
            )


def _limits(scalar: ScalarType) -> tuple[float, float]:
    if scalar.name == "Bool":
        return 0, 1
    if scalar.is_floating:
        return -scalar.largest, scalar.largest
    limits = np.iinfo(scalar.dtype)
    return int(limits.min), min(int(limits.max), _LONG_MAX)


def _check_full_range(scalar: ScalarType) -> None:
    kernel = "random_full_64_bits_range_kernel_cpu"
    check_supported(scalar, names_but("Bool", "Half", *UNSIGNED, *COMPLEX), kernel)
    if scalar.name not in ("Long", "Double", "Float", "BFloat16"):
        raise RuntimeError(f"{kernel} handles only int64, double, float and bfloat16")


def _moved_up(scalar: ScalarType, first: int) -> int:
    """Return the bound that PyTorch takes where the one given is not a number of the dtype."""
    next_one = _rounded(scalar, first + 1)
    if next_one < first:
        step = abs(first + 1).bit_length() - scalar.digits
        first = next_one + (1 << step)
    return first


def _moved_down(scalar: ScalarType, last: int) -> int:
    previous = _rounded(scalar, last - 1)
    if previous >= last:
        step = abs(last - 1).bit_length() - scalar.digits
        last = previous - (1 << step)
    return last


def _rounded(scalar: ScalarType, number: int) -> int:
    """Return an int64 rounded to the dtype and back; x86 turns what does not fit into -2**63."""
    wrapped = np.array((number - _LONG_MIN) % (1 << 64) + _LONG_MIN, np.int64)
    value = float(rounded(wrapped, scalar.dtype))
    return int(value) if -(2.0**63) <= value < 2.0**63 else _LONG_MIN


def _long(name: str, number: Any) -> int:
    try:
        number = operator.index(number)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {number!r}") from None
    if not _LONG_MIN <= number <= _LONG_MAX:
        raise ValueError(
            f"Overflow when unpacking long long: {name} must be in [-2**63, 2**63 - 1], "
            f"got {number}"
        )
    return number
