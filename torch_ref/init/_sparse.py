"""The sparse initializer."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout, from_torch, shape_in_torch
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def sparse(sparsity: float, std: float = 0.01, *, layout: str = "flax") -> Initializer:
    """Draw from a normal distribution, and zero as many weights of each input."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must be in [0, 1], got {sparsity}")
    _draw.check_std(std)
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        if len(shape) != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        outputs, inputs = shape_in_torch(shape, layout)
        kernel = _draw.normal(key, (outputs, inputs), dtype, 0.0, std)
        rows = _draw.permutations(key, outputs, inputs)[: math.ceil(sparsity * outputs)]
        kernel[rows, torch.arange(inputs)[None]] = 0
        return from_torch(kernel, layout)

    return init
