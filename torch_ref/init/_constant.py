"""Initializers that draw nothing and fill an array with one number."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref.init._draw import Initializer


def constant(val: float) -> Initializer:
    """Fill an array with a number."""

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        return torch.empty(shape, dtype=dtype).fill_(val)

    return init


def ones() -> Initializer:
    """Fill an array with ones."""
    return constant(1.0)


def zeros() -> Initializer:
    """Fill an array with zeros."""
    return constant(0.0)
