"""The truncated normal initializer."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def trunc_normal(
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    layout: str = "flax",
) -> Initializer:
    """Draw from a normal distribution, and only between two numbers."""
    _draw.check_range(a, b)
    if not std > 0:
        raise ValueError(f"trunc_normal expects std > 0.0, but found std {std:g}")
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.trunc_normal(key, shape, dtype, mean, std, a, b, layout)

    return init
