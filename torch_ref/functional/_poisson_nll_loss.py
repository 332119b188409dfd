"""The negative log-likelihood of counts."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, reduced, result_dtype


def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log-likelihood of counts under a Poisson distribution."""
    x, y = as_pair(input, target)
    loss = torch.exp(x) - y * x if log_input else x - y * torch.log(x + eps)
    if full:
        count = torch.where(y > 1, y, torch.ones_like(y))
        stirling = count * torch.log(count) - count + 0.5 * torch.log(2 * math.pi * count)
        loss = loss + torch.where(y > 1, stirling, torch.zeros_like(y))
    return reduced(loss, reduction).to(result_dtype(input, target))
