"""Exponential draws."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxaccel.random._box_muller import libm
from jaxaccel.random._dtypes import rounded, scalar_type
from jaxaccel.random._fill import layout_of
from jaxaccel.random._uniform import chunks, unit64


def exponential(
    generator: Any,
    shape: Any,
    lambd: float = 1.0,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    r"""Draw from an exponential distribution.

    .. math::
        -\frac{1}{\lambda} \log(1 - u)

    u has 53 bits, whatever the dtype.

    Args:
        shape: The shape, or the size of a vector.
        lambd: The rate, above 0.
        dtype: A floating-point dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory, which is filled from its start:
            ``"contiguous"``, ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        RuntimeError: ``lambd`` is not above 0, ``dtype`` is not floating-point, JAX is tracing,
            or the memory format has another rank.

    PyTorch:
        ``torch.Tensor.exponential_``: the same bits.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).exponential((3,))
        array([3.5083263, 1.2303847, 0.6150441], dtype=float32)
    """
    layout, scalar = layout_of(shape, memory_format, strides), scalar_type(dtype)
    lambd = float(lambd)
    if not lambd > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    if not scalar.is_floating:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {scalar.name}"
        )
    transform = _float64 if scalar.name == "Double" else _float32
    values = np.empty(layout.size, scalar.dtype)
    for part in chunks(values):
        numbers = unit64(generator.words64(part.size))
        with np.errstate(over="ignore", invalid="ignore"):
            part[...] = rounded(transform(numbers, -1.0 / lambd), scalar.dtype)
    return layout.place(values)


def _float64(numbers: np.ndarray, scale: float) -> np.ndarray:
    return scale * libm(math.log1p, -numbers)


def _float32(numbers: np.ndarray, scale: float) -> np.ndarray:
    """Return ``_float64`` rounded to float32, with NumPy's ``log1p``, which is ten times as fast.

    It has other last bits than the C library's, and they move a float32 only where it is within
    them of the next one: there, once in millions, the C library is asked.
    """
    values = scale * np.log1p(-numbers)
    low = (values * (1 - 2.0**-48)).astype(np.float32)
    high = (values * (1 + 2.0**-48)).astype(np.float32)
    doubtful = low != high
    if doubtful.any():
        low[doubtful] = _float64(numbers[doubtful], scale).astype(np.float32)
    return low
