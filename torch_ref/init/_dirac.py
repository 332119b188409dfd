"""The identity for convolutions."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref._checks import check_positive_integer
from torch_ref._layout import check_layout, from_torch, shape_in_torch
from torch_ref.init._draw import Initializer


def dirac(groups: int = 1, *, layout: str = "flax") -> Initializer:
    """Return the kernel of a convolution that passes its input channels on."""
    check_positive_integer("groups", groups)
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        if len(shape) not in (3, 4, 5):
            raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
        outputs, inputs, *window = shape_in_torch(shape, layout)
        if outputs % groups != 0:
            raise ValueError("dim 0 must be divisible by groups")
        start = torch.arange(groups) * (outputs // groups)
        channel = torch.arange(min(outputs // groups, inputs))
        middle = tuple(size // 2 for size in window)
        kernel = torch.zeros((outputs, inputs, *window), dtype=dtype)
        kernel[(start[:, None] + channel, channel[None], *middle)] = 1
        return from_torch(kernel, layout)

    return init
