"""The normal initializer."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def normal(mean: float = 0.0, std: float = 1.0, *, layout: str = "flax") -> Initializer:
    """Draw from a normal distribution, not truncated."""
    _draw.check_std(std)
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.normal(key, shape, dtype, mean, std, layout)

    return init
