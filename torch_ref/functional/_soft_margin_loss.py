"""The logistic loss of two classes that are called 1 and -1."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, reduced, result_dtype


def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return the logistic loss of scores and their signs."""
    x, y = as_pair(input, target)
    loss = torch.logaddexp(-y * x, torch.zeros_like(x))
    return reduced(loss, reduction).to(result_dtype(input))
