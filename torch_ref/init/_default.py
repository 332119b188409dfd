"""What PyTorch's Linear and Conv layers draw when nobody asks."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from torch_ref.init import _draw
from torch_ref.init._draw import Initializer
from torch_ref.init._kaiming import kaiming_uniform


def default_weight(*, layout: str = "flax") -> Initializer:
    """Draw weights as PyTorch's Linear and Conv layers do."""
    return kaiming_uniform(a=math.sqrt(5), layout=layout)


def default_bias(fan_in: int) -> Initializer:
    """Draw biases as PyTorch's Linear and Conv layers do."""
    if fan_in < 0:
        raise ValueError(f"Invalid fan_in value: {fan_in}")
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return _draw.uniform(key, shape, dtype, -bound, bound)

    return init
