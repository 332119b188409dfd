"""Truncated normal draws."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from jaxaccel._checks import check_std
from jaxaccel.random._dtypes import FLOATING, check_supported, rounded, scalar_type
from jaxaccel.random._fill import layout_of
from jaxaccel.random._normal import draw_normal
from jaxaccel.random._uniform import uniform

_OFTEN_ENOUGH = 0.3
"""The share of normals within the bounds from which PyTorch draws normals."""


def trunc_normal(
    generator: Any,
    shape: Any,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    dtype: Any = np.float32,
    memory_format: str = "contiguous",
    strides: Any = None,
) -> np.ndarray:
    """Draw from a normal distribution within bounds.

    Where more than 30 % of the normal numbers lie within them, the whole array is drawn again
    until each of its numbers did once. Otherwise a uniform number of the interval is kept with
    the probability of its density over the highest density there.

    Args:
        shape: The shape, or the size of a vector.
        mean: The mean before the cut.
        std: The standard deviation before the cut.
        a: The lower bound, a number and no multiple of ``std``.
        b: The upper bound.
        dtype: A floating-point dtype of PyTorch.
        memory_format: The order of the tensor in PyTorch's memory: ``"contiguous"``,
            ``"channels_last"`` or ``"channels_last_3d"``.
        strides: The same for any other tensor: its strides in elements.

    Returns:
        A NumPy array of ``shape`` and ``dtype``.

    Raises:
        NotImplementedError: ``dtype`` is not floating-point.
        RuntimeError: ``a`` is above ``b``, JAX is tracing, or the memory format has another rank.
        ZeroDivisionError: ``std`` is 0.

    PyTorch:
        ``torch.nn.init.trunc_normal_`` since 2.12: the same bits, and its warning for a mean more
        than two ``std`` outside of the bounds. In the second way PyTorch's float32 logarithm is
        one unit in the last place off for one number in a thousand, this one is not: that decides
        otherwise once in billions of draws.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).trunc_normal((3,), std=0.02)
        array([ 0.03081992, -0.00586858, -0.04357579], dtype=float32)
    """
    layout, scalar = layout_of(shape, memory_format, strides), scalar_type(dtype)
    check_supported(scalar, FLOATING, "normal_kernel_cpu")
    dtype = scalar.dtype
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    if _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std) > _OFTEN_ENOUGH:
        check_std(std, RuntimeError)
        values = _redrawn(generator, layout, mean, std, a, b, dtype)
    else:
        values = _accepted(generator, layout.size, mean, std, a, b, dtype)
    return layout.place(values)


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _redrawn(
    generator: Any, layout: Any, mean: float, std: float, a: float, b: float, dtype: np.dtype
) -> np.ndarray:
    """Draw the whole tensor again until each number was within the bounds once."""
    low, high = _scalar(a, dtype), _scalar(b, dtype)
    values = draw_normal(generator, layout, mean, std, dtype)
    while (outside := (values < low) | (values > high)).any():
        values = np.where(outside, draw_normal(generator, layout.like(), mean, std, dtype), values)
    return values


def _accepted(
    generator: Any, size: int, mean: float, std: float, a: float, b: float, dtype: np.dtype
) -> np.ndarray:
    """Draw uniform numbers; keep one with the density there over the density at the mode."""
    mode = max(a, min(mean, b))
    log_peak = -0.5 * ((mode - mean) / std) ** 2
    values = uniform(generator, size, a, b, dtype)
    pending = _is_rejected(generator, values, mean, std, log_peak)
    while pending.any():
        candidates = uniform(generator, size, a, b, dtype)
        values = np.where(pending, candidates, values)
        pending &= _is_rejected(generator, candidates, mean, std, log_peak)
    return values


def _is_rejected(
    generator: Any, candidates: np.ndarray, mean: float, std: float, log_peak: float
) -> np.ndarray:
    """Return where the logarithm of a uniform number is above the log density of a candidate.

    Each step is rounded to the dtype; so are the numbers subtracted, but not the divisor.
    """
    dtype = candidates.dtype
    wide = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    with np.errstate(all="ignore"):
        steps = candidates - _scalar(mean, dtype)
        steps = rounded(steps.astype(wide) / wide.type(std), dtype)
        log_density = steps * steps * _scalar(-0.5, dtype) - _scalar(log_peak, dtype)
        numbers = uniform(generator, candidates.size, 0.0, 1.0, dtype)
        return rounded(np.log(numbers.astype(np.float64)), dtype) > log_density


def _scalar(number: float, dtype: np.dtype) -> Any:
    return rounded(np.asarray(number, np.float64), dtype)[()]
