"""Local response normalization."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from torch_ref._math import compute_dtype


def local_response_norm(
    input: Tensor,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    channel_axis: int = -1,
) -> Tensor:
    """Divide each value by a power of the mean square of its neighbours in other channels."""
    if input.numel() == 0:
        return input
    x = input.to(compute_dtype(input.dtype))
    squares = F.pad((x * x).movedim(channel_axis, -1), (size // 2, (size - 1) // 2))
    total = squares.unfold(-1, size, 1).sum(-1).movedim(-1, channel_axis)
    return (x / (total * (alpha / size) + k) ** beta).to(input.dtype)
