"""Xavier (Glorot) initializers."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout, fans
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def xavier_uniform(gain: float = 1.0, *, layout: str = "flax") -> Initializer:
    """Draw weights uniformly, with a variance between the one for fan_in and for fan_out."""
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        bound = math.sqrt(3.0) * _std(gain, shape, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


def xavier_normal(gain: float = 1.0, *, layout: str = "flax") -> Initializer:
    """Draw weights from a normal, with a variance between the one for fan_in and for fan_out."""
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, layout), layout)

    return init


def _std(gain: float, shape: tuple[int, ...], layout: str) -> float:
    """Return the standard deviation."""
    fan_in, fan_out = fans(shape, layout)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))
