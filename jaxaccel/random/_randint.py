"""Random integers: between two bounds, or all that a dtype can hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaccel.random._dtypes import (
    COMPLEX,
    UNSIGNED,
    ScalarType,
    check_supported,
    names_but,
    rounded,
    scalar_type,
)
from jaxaccel.random._fill import layout_of
from jaxaccel.random._integer_range import checked_range
from jaxaccel.random._uniform import chunks


def randint(
    generator: Any,
    low: int,
    high: int,
    shape: Any,
    dtype: Any = np.int64,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    r"""Draw integers from ``low`` to ``high - 1``.

    .. math::
        \text{low} + w \bmod (\text{high} - \text{low})

    of a word w of 32 bits, or of 64 from a range of 2**28 numbers on: PyTorch accepts that some
    come up up to 5 % more often than others.

    Args:
        low: The smallest integer.
        high: The largest one plus 1.
        shape: The shape, or the size of a vector.
        dtype: An integer, floating-point or boolean dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        TypeError: A bound is not an integer.
        RuntimeError: The range is empty or beyond ``dtype``; JAX is tracing.

    PyTorch:
        ``torch.randint`` and ``torch.Tensor.random_(low, high)``: the same bits. ``low`` must be
        given.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).randint(0, 10, (5,))
        array([4, 9, 3, 0, 3])
    """
    return random(generator, shape, dtype, low, high, memory_format, strides)


def random(
    generator: Any,
    shape: Any,
    dtype: Any = np.float32,
    low: int | None = None,
    high: int | None = None,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw integers from all that a dtype holds exactly, or from a range with an open end.

    Args:
        shape: The shape, or the size of a vector.
        dtype: An integer, floating-point or boolean dtype of PyTorch.
        low: The smallest integer, PyTorch's ``from``; 0 when left out.
        high: The largest one plus 1, PyTorch's ``to``. When left out: as many as ``dtype`` holds
            exactly.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        TypeError: A bound is not an integer.
        NotImplementedError: PyTorch does not draw ``dtype``.
        RuntimeError: The range is empty or beyond ``dtype``; JAX is tracing.

    PyTorch:
        ``torch.Tensor.random_()``, ``random_(high)`` and ``random_(low, high)``: the same bits.
        A data loader draws its seed with it.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).random((3,), "uint8")
        array([172,  47, 117], dtype=uint8)
    """
    layout = layout_of(shape, memory_format, strides)
    scalar = scalar_type(dtype)
    values = np.empty(layout.size, scalar.dtype)
    if low is None and high is None:
        check_supported(scalar, names_but(*UNSIGNED, *COMPLEX), "random_kernel_cpu")
        span, wide = _span_of_dtype(scalar)
        _fill(generator, values, 0, span, wide)
        return layout.place(values)
    first, span = checked_range(scalar, low, high)
    # Below this, PyTorch accepts that some numbers come up 5 % more often than others.
    _fill(generator, values, first, span, wide=span >= 1 << 28)
    return layout.place(values)


def _fill(generator: Any, values: np.ndarray, first: int, span: int, wide: bool) -> None:
    """Fill with ``first + word % span``, from words of 64 bits or of 32."""
    words = generator.words64 if wide else generator.words32
    for part in chunks(values):
        numbers = words(part.size)
        if span < 1 << (64 if wide else 32):
            # Faster than the remainder, which NumPy computes one number at a time.
            numbers -= numbers // numbers.dtype.type(span) * numbers.dtype.type(span)
        numbers = numbers.astype(np.uint64, copy=False) + np.uint64(first % (1 << 64))
        part[...] = rounded(numbers.view(np.int64), part.dtype)


def _span_of_dtype(scalar: ScalarType) -> tuple[int, bool]:
    """Return how many numbers ``random_()`` draws from, and whether it takes 64 bits for one."""
    span = (1 << scalar.digits) + scalar.is_floating
    return span, scalar.name in ("Long", "Double")
