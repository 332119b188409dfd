"""Kaiming (He) initializers."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout, fans
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer
from torch_ref.init._gain import calculate_gain


def kaiming_uniform(
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    layout: str = "flax",
) -> Initializer:
    """Draw weights uniformly, with the variance that keeps signals their size."""
    mode, gain = _checked(a, mode, nonlinearity, layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        bound = math.sqrt(3.0) * _std(gain, shape, mode, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


def kaiming_normal(
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    layout: str = "flax",
) -> Initializer:
    """Draw weights from a normal, with the variance that keeps signals their size."""
    mode, gain = _checked(a, mode, nonlinearity, layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, mode, layout), layout)

    return init


def _checked(a: float, mode: str, nonlinearity: str, layout: str) -> tuple[str, float]:
    """Check the arguments; return the mode in lower case and the gain."""
    mode = mode.lower()
    valid_modes = ["fan_in", "fan_out"]
    if mode not in valid_modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {valid_modes}")
    check_layout(layout)
    return mode, calculate_gain(nonlinearity, a)


def _std(gain: float, shape: tuple[int, ...], mode: str, layout: str) -> float:
    """Return the standard deviation; an empty kernel needs none, and PyTorch warns."""
    if 0 in shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return 0.0
    fan_in, fan_out = fans(shape, layout)
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)
