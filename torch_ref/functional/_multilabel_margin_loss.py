"""The hinge loss of examples to which several classes belong."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._multi_margin_loss import as_rows, of_rows
from torch_ref.functional._reduction import result_dtype


def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return by how much the scores of the wrong classes come too near to the right ones'."""
    scores = as_rows(input)
    _, classes = scores.shape
    index = target.reshape(scores.shape)
    counts = torch.cumsum(index == -1, -1) == 0
    place = index.clamp(0, classes - 1)
    is_right = counts[:, :, None] & (place[:, :, None] == torch.arange(classes)[None, None])
    is_wrong = ~torch.any(is_right, 1)
    right = torch.take_along_dim(scores, place, -1)
    short = torch.relu(1 - right[:, :, None] + scores[:, None, :])
    counted = counts[:, :, None] & is_wrong[:, None, :]
    loss = torch.sum(torch.where(counted, short, torch.zeros_like(short)), (1, 2)) / classes
    return of_rows(loss, reduction, input.shape[: input.ndim - 1]).to(result_dtype(input))
