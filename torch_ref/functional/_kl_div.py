"""The Kullback-Leibler divergence."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, reduced, result_dtype


def kl_div(
    input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """Return the Kullback-Leibler divergence, element by element."""
    batchmean = reduction == "batchmean"
    reduction = "sum" if batchmean else reduction
    x, y = as_pair(input, target)
    loss = torch.exp(y) * (y - x) if log_target else torch.xlogy(y, y) - y * x
    loss = reduced(loss, reduction)
    if batchmean and input.ndim:
        loss = loss / input.shape[0]
    return loss.to(result_dtype(input, target))
