"""Root mean square normalization."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._normalized_shape import over_lead


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide the last dimensions of each sample by their root mean square."""
    dtype = compute_dtype(input.dtype)
    x = input.to(dtype)
    axes = tuple(range(x.ndim - len(normalized_shape), x.ndim))
    mean_square = torch.mean(x * x, axes, keepdim=True)
    output = x * torch.rsqrt(mean_square + (torch.finfo(dtype).eps if eps is None else eps))
    if weight is not None:
        output = output.to(torch.promote_types(dtype, weight.dtype))
        output = output * over_lead(weight, output)
    return output.to(input.dtype)
