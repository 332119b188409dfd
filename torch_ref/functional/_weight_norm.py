"""Weight normalization."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref._layout import axes_except
from torch_ref._math import compute_dtype


def weight_norm(v: Tensor, g: Tensor, dim: int | None = 0, *, layout: str = "flax") -> Tensor:
    """Give each slice of a kernel the direction of one tensor and the length of another."""
    axes = axes_except(dim, v.ndim, layout)
    if v.dtype != g.dtype or not v.dtype.is_floating_point:
        raise TypeError(
            f"expected v and g of one floating point dtype, got {v.dtype} and {g.dtype}"
        )
    kept = tuple(1 if axis in axes else n for axis, n in enumerate(v.shape))
    if g.shape != (() if dim in (None, -1) else kept):
        raise ValueError(
            f"expected g of shape {() if dim in (None, -1) else kept} for v of shape "
            f"{tuple(v.shape)} and dim={dim}, got {tuple(g.shape)}"
        )
    dtype = compute_dtype(v.dtype)
    direction, length = v.to(dtype), g.to(dtype).reshape(kept)
    square = direction * direction
    norm = torch.sqrt(torch.sum(square, axes, keepdim=True) if axes else square)
    return (direction * (length / norm)).to(v.dtype)
