"""The uniform initializer."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def uniform(a: float = 0.0, b: float = 1.0, *, layout: str = "flax") -> Initializer:
    """Draw from a uniform distribution."""
    _draw.check_range(a, b)
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.uniform(key, shape, dtype, a, b, layout)

    return init
