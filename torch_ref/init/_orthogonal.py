"""The orthogonal initializer."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from torch_ref._layout import check_layout, from_torch, shape_in_torch
from torch_ref.init import _draw
from torch_ref.init._draw import Initializer


def orthogonal(gain: float = 1, *, layout: str = "flax") -> Initializer:
    """Draw an orthogonal matrix, all of them being equally likely."""
    check_layout(layout)

    def init(
        key: Generator | None, shape: tuple[int, ...], dtype: torch.dtype | None = None
    ) -> Tensor:
        if len(shape) < 2:
            raise ValueError("Only tensors with 2 or more dimensions are supported")
        if 0 in shape:
            return torch.zeros(shape, dtype=dtype)
        outputs, *inputs = shape_in_torch(shape, layout)
        columns = math.prod(inputs)
        matrix = _draw.normal(key, (outputs, columns), dtype, 0.0, 1.0)
        q, r = torch.linalg.qr(matrix.T if outputs < columns else matrix)
        # Without the signs the result would depend on how the factors are computed.
        q = q * torch.sign(torch.diagonal(r))[None, :]
        kernel = (q.T if outputs < columns else q).reshape(outputs, *inputs)
        return from_torch(kernel * gain, layout)

    return init
