"""The hinge losses of classes: one is right for each example, or several."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._reduction import result_dtype


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return by how much the scores of the wrong classes come too near to that of the right one."""
    scores = as_rows(input)
    rows, classes = scores.shape
    index = target.reshape(rows, 1)
    right = torch.take_along_dim(scores, index, 1)
    is_wrong = torch.arange(classes)[None] != index
    loss = torch.sum(too_near(margin - right + scores, is_wrong) ** p, -1) / classes
    if weight is not None:
        loss = loss * weight.to(loss.dtype)[index[:, 0]]
    return of_rows(loss, reduction, target.shape).to(result_dtype(input))


def as_rows(input: Tensor) -> Tensor:
    """Return the scores as (N, C), in float32 at least."""
    return input.reshape((1,) * (2 - input.ndim) + input.shape).to(compute_dtype(input.dtype))


def too_near(short: Tensor, counts: Tensor) -> Tensor:
    """Return what is missing to the margin where it counts, else 0."""
    return torch.where(counts & (short > 0), short, torch.zeros_like(short))


def of_rows(loss: Tensor, reduction: str, shape: tuple[int, ...]) -> Tensor:
    """Return the losses of rows in a shape, or reduced; of no rows the mean is 0."""
    if reduction == "none":
        return loss.reshape(shape)
    return torch.sum(loss) / (max(loss.numel(), 1) if reduction == "mean" else 1)
