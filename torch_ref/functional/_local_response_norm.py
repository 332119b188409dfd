"""Local response normalization."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import check_channel_axis
from torch_ref.functional._moments import check_dtypes


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
    channel_axis = _check(input, size, channel_axis)
    if input.numel() == 0:
        return input
    x = input.to(compute_dtype(input.dtype))
    squares = F.pad((x * x).movedim(channel_axis, -1), (size // 2, (size - 1) // 2))
    total = squares.unfold(-1, size, 1).sum(-1).movedim(-1, channel_axis)
    return (x / (total * (alpha / size) + k) ** beta).to(input.dtype)


def _check(input: Tensor, size: int, channel_axis: int) -> int:
    """Check the arguments, with PyTorch's texts; return the channel axis from the front."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(
            f"local_response_norm(): argument 'size' must be int, not {type(size).__name__}"
        )
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if size <= 0:
        kernel = f"kH: {size} kW: 1" if input.ndim == 3 else f"kT: {size} kH: 1 kW: 1"
        raise ValueError(f"kernel size should be greater than zero, but got {kernel}")
    check_dtypes(input)
    return check_channel_axis(input, channel_axis)
