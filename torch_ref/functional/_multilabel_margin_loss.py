"""The hinge loss of examples to which several classes belong."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._multi_margin_loss import as_rows, of_rows, too_near
from torch_ref.functional._reduction import result_dtype


def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Return by how much the scores of the wrong classes come too near to the right ones'."""
    scores = as_rows(input)
    _, classes = scores.shape
    index = target.reshape(scores.shape)
    counts = torch.cumsum(index == -1, -1) == 0
    place = index.clamp(0, classes - 1)
    is_wrong = torch.ones_like(scores, dtype=torch.bool)
    for row, column in torch.nonzero(counts).tolist():
        is_wrong[row, place[row, column]] = False
    right = torch.take_along_dim(scores, place, -1)
    loss = torch.zeros_like(right[:, 0])
    for of_right, is_target in zip(right.T, counts.T, strict=True):
        short = too_near(1 - of_right[:, None] + scores, is_target[:, None] & is_wrong)
        loss = loss + torch.sum(short, -1)
    loss = loss / classes
    return of_rows(loss, reduction, input.shape[: input.ndim - 1]).to(result_dtype(input))
