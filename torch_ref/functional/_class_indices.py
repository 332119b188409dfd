"""Targets that are indices of classes."""

from __future__ import annotations

import torch
from torch import Tensor


def classes_last(tensor: Tensor, class_axis: int) -> Tensor:
    """Return the tensor with its classes last; one axis alone is that of the classes."""
    return tensor if tensor.ndim == 1 else torch.movedim(tensor, class_axis, -1)


def picked(
    log_probs: Tensor, index: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """Return minus the weighted log-probability at each index, and the weights: 0 where ignored."""
    kept = index != ignore_index
    safe = torch.where(kept, index, torch.zeros_like(index))
    zero = torch.zeros(index.shape, dtype=log_probs.dtype)
    weights = torch.ones_like(zero)
    if weight is not None:
        weights = weight.to(zero.dtype)[safe]
    loss = -weights * torch.gather(log_probs, -1, safe[..., None])[..., 0]
    return torch.where(kept, loss, zero), torch.where(kept, weights, zero)


def class_mean(loss: Tensor, weights: Tensor, reduction: str) -> Tensor:
    """Return the losses reduced; the mean divides by the sum of the weights, and nan is 0 / 0."""
    if reduction == "none":
        return loss
    total = torch.sum(loss)
    return total / torch.sum(weights) if reduction == "mean" else total
