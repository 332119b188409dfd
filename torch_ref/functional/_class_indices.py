"""Targets that are indices of classes."""

from __future__ import annotations

import torch
from torch import Tensor


def classes_last(tensor: Tensor, class_axis: int) -> Tensor:
    """Return the tensor with its classes last; one axis alone is that of the classes."""
    return tensor if tensor.ndim == 1 else torch.movedim(tensor, class_axis, -1)


def number_at(index: Tensor, tensor: Tensor) -> Tensor:
    """Return the number at each index of the last axis; the first one where it is outside."""
    index = torch.where(_inside(index, tensor.shape[-1]), index, 0)
    return torch.gather(tensor, -1, index[..., None])[..., 0]


def picked(
    log_prob: Tensor, index: Tensor, classes: int, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return minus the weighted log-probability of each index, and the weights: 0 where ignored."""
    inside, kept = _inside(index, classes), index != ignore_index
    zero = torch.zeros_like(log_prob)
    weights = torch.ones_like(zero)
    if weight is not None:
        weights = weight.to(zero.dtype)[torch.where(inside, index, 0)]
    loss = -weights * log_prob
    return torch.where(kept, loss, zero), torch.where(kept, weights, zero)


def class_mean(loss: Tensor, weights: Tensor, reduction: str) -> Tensor:
    """Return the losses reduced; the mean divides by the sum of the weights, and nan is 0 / 0."""
    if reduction == "none":
        return loss
    total = torch.sum(loss)
    return total / torch.sum(weights) if reduction == "mean" else total


def _inside(index: Tensor, classes: int) -> Tensor:
    """Return which integers are indices of classes."""
    return (index >= 0) & (index < classes)
