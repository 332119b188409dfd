"""The negative log-likelihood of numbers with a variance each."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torch_ref.functional._reduction import in_one_shape, reduced, result_dtype


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log-likelihood of numbers under normal distributions."""
    var = torch.full_like(input, var) if isinstance(var, (int, float)) else var
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    x, y, given = in_one_shape(input, target, var)
    # The bound has no gradient of its own.
    variance = given + (given.clamp_min(eps) - given).detach()
    loss = 0.5 * (torch.log(variance) + (x - y) ** 2 / variance)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction).to(result_dtype(input, target, var))
