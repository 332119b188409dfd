"""Fused multiply-add, ``x * y + z`` with one rounding, which NumPy does not have.

PyTorch's kernels are compiled with fused multiply-adds; two roundings would give other last bits.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

_BELOW_HALF_WAY = (1 << 28) - 1
"""The bits of a double below the first that float32 drops; they are zero half way between two."""

_SPLITTER = 2.0**27 + 1
_SAFE = (2.0**-400, 2.0**400)
"""Magnitudes of which no product or rounding error overflows or underflows a double."""


def fma32(x: Any, y: Any, z: Any) -> np.ndarray:
    """Return ``x * y + z`` rounded once to float32.

    Args:
        x: Float32 numbers, in an array of float32 or float64 or a Python float.
        y: The same.
        z: The same.
    """
    # Exact: a product of two 24-bit numbers has 48 bits.
    product = np.multiply(x, y, dtype=np.float64)
    total = np.asarray(product + z)
    # Rounding the sum to double and then to float32 differs from rounding once only when the
    # first one lands half way between two float32 numbers, whose low bits are these.
    doubtful = (total.view(np.int64) & _BELOW_HALF_WAY) == 0
    if doubtful.any():
        error = two_sum_error(product, z, total)
        if (error != 0).any():
            total = round_to_odd(total, error)
    with np.errstate(over="ignore"):
        return total.astype(np.float32)


def fma64(x: Any, y: Any, z: Any) -> np.ndarray:
    """Return ``x * y + z`` rounded once to float64.

    The sum of the product's two halves and ``z``, without an error, the smaller parts rounded to
    odd: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", IEEE ToC 57 (2008).

    Args:
        x: Float64 numbers.
        y: The same.
        z: The same.
    """
    x, y, z = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in (x, y, z)))
    with np.errstate(all="ignore"):
        plain = np.asarray(x * y + z)
        low = two_product_error(x, y, x * y)
        middle = z + low
        high = x * y + middle
        rest, rest_error = two_sum(
            two_sum_error(z, low, middle), two_sum_error(x * y, middle, high)
        )
        total = np.asarray(high + round_to_odd(rest, rest_error))
        # An exact zero keeps the sign that IEEE gives it.
        total = np.where(total == 0, plain, total)
        unsafe = ~(is_safe(x) & is_safe(y) & is_safe(z))
    for index in np.flatnonzero(unsafe):
        total.flat[index] = exact(x.flat[index], y.flat[index], z.flat[index], plain.flat[index])
    return total


def two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """Return ``a + b`` and what its rounding lost (Knuth)."""
    total = a + b
    return total, two_sum_error(a, b, total)


def two_sum_error(a: Any, b: Any, total: Any) -> Any:
    """Return what the rounding of ``total = a + b`` lost."""
    with np.errstate(invalid="ignore"):
        b_part = total - a
        return (a - (total - b_part)) + (b - b_part)


def two_product_error(a: Any, b: Any, product: Any) -> Any:
    """Return what the rounding of ``product = a * b`` lost (Dekker, Veltkamp)."""
    a_high = _SPLITTER * a - (_SPLITTER * a - a)
    b_high = _SPLITTER * b - (_SPLITTER * b - b)
    a_low, b_low = a - a_high, b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def round_to_odd(total: Any, error: Any) -> np.ndarray:
    """Return ``total + error`` rounded to odd: what a second rounding needs to know.

    Of the two neighbours of an inexact sum it is the one whose last bit is set.
    """
    bits = np.array(total).view(np.int64)
    even = (error != 0) & ((bits & 1) == 0) & np.isfinite(total)
    outwards = (error > 0) == (total > 0)
    return (bits + np.where(even, np.where(outwards, 1, -1), 0)).view(np.float64)


def is_safe(x: np.ndarray) -> np.ndarray:
    """Return where x is zero or of a magnitude that fma64's steps can take."""
    smallest, largest = _SAFE
    magnitude = np.abs(x)
    return (x == 0) | ((magnitude > smallest) & (magnitude < largest))


def exact(x: float, y: float, z: float, plain: float) -> float:
    """Return ``x * y + z`` of three numbers in rational arithmetic, rounded once."""
    if not np.isfinite([x, y, z]).all():
        return z if np.isfinite([x, y]).all() else plain
    total = Fraction(x) * Fraction(y) + Fraction(z)
    try:
        return float(total) if total else plain
    except OverflowError:
        return float("inf") if total > 0 else -float("inf")
