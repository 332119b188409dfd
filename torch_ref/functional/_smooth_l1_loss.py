"""The absolute error with its bend rounded off."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._l1_loss import l1_loss
from torch_ref.functional._reduction import as_pair, magnitude, reduced, result_dtype


def smooth_l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """Return the absolute error, squared where it is small."""
    if beta == 0:
        return l1_loss(input, target, reduction)
    x, y = as_pair(input, target)
    distance = magnitude(x - y)
    # An infinite distance must not meet the square, not even where it is not chosen.
    near = torch.where(distance < beta, distance, torch.zeros_like(distance))
    loss = torch.where(distance < beta, 0.5 * near * near / beta, distance - 0.5 * beta)
    return reduced(loss, reduction).to(result_dtype(input, target))
