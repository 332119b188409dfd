"""The cross entropy of independent yes and no decisions, averaged over classes."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, reduced, result_dtype, times


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the mean over classes of the cross entropy of yes and no."""
    x, y = as_pair(input, target)
    log_sigmoid = torch.nn.functional.logsigmoid
    loss = -(y * log_sigmoid(x) + (1 - y) * log_sigmoid(-x))
    loss = loss if weight is None else times(loss, weight)
    loss = torch.sum(loss, -1) / input.shape[-1]
    return reduced(loss, reduction).to(result_dtype(input, target, weight))
