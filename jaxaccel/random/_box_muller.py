"""Standard normals from random words, bit for bit as PyTorch's blocks of 16 are computed.

The float32 logarithm, sine and cosine are the polynomials of Cephes (Stephen L. Moshier, public
domain), in the order of PyTorch's vector code with the fused multiply-adds that GCC makes of it.
A product of two float32 numbers is exact in float64, so a fused multiply-add is a float64 product
and sum rounded to float32. That rounds twice, which makes no difference here: there are 2**24
arguments, and a test compares the functions of every one of them with PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from jaxaccel.random._uniform import unit64

_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_LN2 = (-2.12194440e-4, 0.693359375)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)

_EIGHT = np.dtype("V32")
"""Eight numbers of 32 bits: half a block, which is copied in one piece."""

_ONE_BITS, _SQRT_HALF_BITS, _MANTISSA = 0x3F800000, 0x3F3504F3, 0x7FFFFF


def block_normals32(words: np.ndarray) -> np.ndarray:
    """Return the float32 normals of whole blocks of 16 words: 8 for the radius, 8 for the angle."""
    eights = (words & np.uint32(0xFFFFFF)).view(_EIGHT)
    radius = _log_of_complement(np.ascontiguousarray(eights[::2]).view(np.uint32))
    radius *= np.float32(-2)
    np.sqrt(radius, out=radius)
    sine, cosine = _sincos_of_turns(np.ascontiguousarray(eights[1::2]).view(np.uint32))
    eights[::2] = np.multiply(radius, cosine, out=cosine).view(_EIGHT)
    eights[1::2] = np.multiply(radius, sine, out=sine).view(_EIGHT)
    return eights.view(np.float32)


def block_normals64(words: np.ndarray) -> np.ndarray:
    """Return the float64 normals of whole blocks of 16 words of 64 bits."""
    first, second = _halves(unit64(words))
    radius = np.sqrt(-2.0 * libm(math.log, 1.0 - first))
    angle = (2.0 * math.pi) * second
    return _interleaved(radius * libm(math.cos, angle), radius * libm(math.sin, angle))


def pair_normals64(words: np.ndarray) -> np.ndarray:
    """Return the float64 normals of pairs of words of 64 bits: the angle first, then the radius."""
    numbers = unit64(words)
    radius = np.sqrt(-2.0 * libm(math.log1p, -numbers[1::2]))
    angle = (2.0 * math.pi) * numbers[::2]
    normals = np.empty_like(numbers)
    normals[::2] = radius * libm(math.cos, angle)
    normals[1::2] = radius * libm(math.sin, angle)
    return normals


def libm(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Apply a function of ``math``, which is the C library's, as in PyTorch; NumPy has its own."""
    return np.fromiter(map(function, values.tolist()), np.float64, values.size)


def _halves(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    blocks = numbers.reshape(-1, 2, 8)
    return blocks[:, 0].ravel(), blocks[:, 1].ravel()


def _interleaved(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack([first.reshape(-1, 8), second.reshape(-1, 8)], axis=1).ravel()


def _log_of_complement(k: np.ndarray) -> np.ndarray:
    """Return float32 ``log(1 - k / 2**24)`` for uint32 k below 2**24."""
    x = (np.uint32(1 << 24) - k).view(np.int32).astype(np.float32)
    # The number as 2**exponent (1 + x) with 1 + x between the roots of 1/2 and 2.
    bits = x.view(np.uint32)
    bits += np.uint32(_ONE_BITS - _SQRT_HALF_BITS)
    exponent = (bits >> np.uint32(23)).view(np.int32).astype(np.float32)
    exponent -= np.float32(127 + 24)
    bits &= np.uint32(_MANTISSA)
    bits += np.uint32(_SQRT_HALF_BITS)
    x -= np.float32(1)
    square = x * x
    low, high = map(np.float32, _LN2)
    y = _polynomial(_LOG, x)
    y *= x
    y = _fused(y, square, exponent * low)
    square *= np.float32(0.5)
    y -= square
    y += x
    exponent *= high  # exact: a number of 5 bits and one of 9
    y += exponent
    return y


def _sincos_of_turns(k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the float32 sine and cosine of ``2 pi k / 2**24`` for uint32 k below 2**24."""
    angle = k.view(np.int32).astype(np.float32)
    angle *= np.float32(2.0**-24)
    angle *= np.float32(2.0 * math.pi)
    # The nearest multiple of pi / 2; in float64 the difference has no rounding before the last.
    quarter = (k + np.uint32(1 << 21)) >> np.uint32(22)
    wide = quarter.view(np.int32).astype(np.float64)
    wide *= -2.0 * sum(_float32s(_QUARTER_PI))
    wide += angle.astype(np.float64)
    x = wide.astype(np.float32)
    square = x * x
    cosine = _polynomial(_COS, square)
    cosine *= square
    cosine = _fused(cosine, square, np.float32(-0.5) * square)
    cosine += np.float32(1)
    sine = _polynomial(_SIN, square)
    sine *= square
    return _turned(_fused(sine, x, x), cosine, quarter)


def _turned(
    sine: np.ndarray, cosine: np.ndarray, quarter: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return sine and cosine after ``quarter`` more quarters of a turn, all changed in place."""
    sine_bits, cosine_bits = sine.view(np.uint32), cosine.view(np.uint32)
    swap = sine_bits ^ cosine_bits
    swap &= -(quarter & np.uint32(1))
    sine_bits ^= swap
    cosine_bits ^= swap
    sign = (quarter >> np.uint32(1)) << np.uint32(31)
    sine_bits ^= sign
    quarter += np.uint32(1)
    np.right_shift(quarter, np.uint32(1), out=sign)
    sign <<= np.uint32(31)
    cosine_bits ^= sign
    return sine, cosine


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    """Evaluate by Horner's rule, each step a fused multiply-add."""
    first, *middle, last = _float32s(coefficients)
    wide, y = x.astype(np.float64), np.empty_like(x)
    total = first * wide
    for coefficient in middle:
        total += coefficient
        y[...] = total
        total[...] = y
        total *= wide
    total += last
    y[...] = total
    return y


def _fused(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return ``x * y + z``."""
    total = x.astype(np.float64)
    total *= y.astype(np.float64)  # as NumPy would do by itself, and in smaller parts
    total += z.astype(np.float64)
    return total.astype(np.float32)


def _float32s(numbers: tuple[float, ...]) -> list[float]:
    return [float(np.float32(number)) for number in numbers]
