"""Uniform draws."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxaccel.random._dtypes import (
    FLOATING,
    PARTS,
    ScalarType,
    check_supported,
    rounded,
    scalar_type,
)
from jaxaccel.random._fill import layout_of
from jaxaccel.random._fma import fma32, fma64

_CHUNK = 1 << 15
"""Numbers at a time: what is computed from them stays in the processor's cache."""


def rand(
    generator: Any,
    shape: Any,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw from the uniform distribution on [0, 1).

    Args:
        shape: The shape, or the size of a vector.
        dtype: A floating-point or complex dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: ``dtype`` is an integer.
        RuntimeError: JAX is tracing, or the memory format has another rank.

    PyTorch:
        ``torch.rand`` and ``torch.Tensor.uniform_``: the same bits.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).rand((3,))
        array([0.4962566 , 0.7682218 , 0.08847743], dtype=float32)
    """
    return uniform(generator, shape, 0.0, 1.0, dtype, memory_format, strides)


def uniform(
    generator: Any,
    shape: Any,
    a: float = 0.0,
    b: float = 1.0,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    r"""Draw from the uniform distribution on [a, b).

    .. math::
        u \, (b - a) + a

    rounded once, u a multiple of 2**-24 (2**-53 in double precision). A result that rounding
    brings to ``b`` becomes ``a``.

    Args:
        shape: The shape, or the size of a vector.
        a: The lower end, PyTorch's ``from``.
        b: The upper end, PyTorch's ``to``.
        dtype: A floating-point or complex dtype of PyTorch; half precision is computed in float32
            and rounded.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: ``dtype`` is an integer.
        RuntimeError: The bounds are not in order or not numbers of ``dtype``; JAX is tracing.

    PyTorch:
        ``torch.Tensor.uniform_`` and ``torch.nn.init.uniform_``: the same bits.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).uniform((3,), -1.0, 1.0)
        array([-0.00748682,  0.5364436 , -0.82304513], dtype=float32)
    """
    layout = layout_of(shape, memory_format, strides)
    scalar = scalar_type(PARTS.get(np.dtype(dtype).name, dtype))
    check_supported(scalar, FLOATING, "check_uniform_bounds")
    a, b = float(a), float(b)
    check_bounds(scalar, a, b)
    result = np.empty(layout.size, dtype)
    values = result.view(scalar.dtype)  # of a complex number both parts, one after the other
    fill = _fill_double if scalar.name == "Double" else _fill_single
    fill(generator, values, a, b)
    return layout.place(result)


def check_bounds(scalar: ScalarType, a: float, b: float) -> None:
    """Raise PyTorch's errors for bounds that a dtype cannot hold or that are not in order."""
    largest = scalar.largest
    for name, bound in (("from", a), ("to", b)):
        if not -largest <= bound <= largest:
            raise RuntimeError(f"{name} is out of bounds for {scalar.cpp_name}")
    if not a <= b:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={a:g} > to={b:g}"
        )
    if not b - a <= largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{scalar.name}>::max(), but found "
            f"to={b:g} and from={a:g} which result in to-from to exceed the limit"
        )


def unit32(words: np.ndarray) -> np.ndarray:
    """Return the float32 numbers in [0, 1) that words of 32 bits stand for: their low 24 bits."""
    numbers = (words & np.uint32(0xFFFFFF)).view(np.int32).astype(np.float32)
    numbers *= np.float32(2.0**-24)
    return numbers


def unit64(words: np.ndarray) -> np.ndarray:
    """Return the float64 numbers in [0, 1) that words of 64 bits stand for: their low 53 bits."""
    numbers = (words & np.uint64((1 << 53) - 1)).view(np.int64).astype(np.float64)
    numbers *= 2.0**-53
    return numbers


def chunks(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an array in parts that fit the cache."""
    for start in range(0, values.size, _CHUNK):
        yield values[start : start + _CHUNK]


def _fill_single(generator: Any, values: np.ndarray, a: float, b: float) -> None:
    """Fill values of at most single precision: in float32, rounded once at the end."""
    low, high = np.float32(a), np.float32(b)
    width, first, last = float(high - low), low.astype(values.dtype), high.astype(values.dtype)
    if (width, a) == (1.0, 0.0):
        between = unit32
    elif _is_exact(width, float(low)):
        between = functools.partial(_scaled, width=width, low=float(low))
    else:
        between = functools.partial(_fused, width=width, low=float(low))
    largest = rounded(between(np.array([0xFFFFFF], np.uint32)), values.dtype)
    for part in chunks(values):
        numbers = between(generator.words32(part.size))
        part[...] = numbers if values.itemsize == 4 else numbers.astype(np.float32)
        if largest == last:
            part[part == last] = first


def _is_exact(width: float, low: float) -> bool:
    """Return whether a double holds every ``k * 2**-24 * width + low``, with float32 numbers."""
    if width == 0 or low == 0:
        return True
    # All are multiples of what the smaller of the last places stands for, times 2**-24.
    unit = min(float(np.spacing(np.float32(abs(x)))) for x in (width, low)) * 2.0**-24
    return max(abs(low), abs(low + width)) < unit * 2.0**52


def _scaled(words: np.ndarray, width: float, low: float) -> np.ndarray:
    """Return what :func:`_fused` does, where the sum is exact in double precision."""
    numbers = (words & np.uint32(0xFFFFFF)).view(np.int32).astype(np.float64)
    numbers *= width * 2.0**-24
    numbers += low
    return numbers


def _fused(words: np.ndarray, width: float, low: float) -> np.ndarray:
    """Return float32 numbers of a range by a fused multiply-add."""
    return fma32(unit32(words), width, low)


def _fill_double(generator: Any, values: np.ndarray, a: float, b: float) -> None:
    for part in chunks(values):
        part[...] = unit64(generator.words64(part.size))
        if (b - a, a) != (1.0, 0.0):
            part[...] = fma64(part, b - a, a)
        part[part == b] = a
