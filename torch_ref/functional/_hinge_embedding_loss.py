"""The loss of distances that are to be short, or long."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, at_least_zero, reduced, result_dtype


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    reduction: str = "mean",
) -> Tensor:
    """Return distances that are to be short, and what others lack of a margin."""
    x, y = as_pair(input, target)
    zeros = torch.zeros_like(x)
    loss = torch.where(y != 1, at_least_zero(margin - x), zeros) + torch.where(y != -1, x, zeros)
    return reduced(loss, reduction).to(result_dtype(input))
