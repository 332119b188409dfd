"""The identity for linear layers."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from torch_ref.init._draw import Initializer


def eye() -> Initializer:
    """Return the identity matrix: a linear layer passes on as many inputs as it has outputs for."""

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        if len(shape) != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        return torch.eye(*shape, dtype=dtype)

    return init
