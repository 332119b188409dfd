"""The cross entropy of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._class_indices import class_mean, classes_last, number_at, picked
from torch_ref.functional._reduction import reduced, result_dtype


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    class_axis: int = -1,
) -> Tensor:
    """Return the cross entropy between targets and softmaxes of the input."""
    logits = classes_last(input, class_axis)
    if target.shape == input.shape:
        loss = _of_probabilities(
            logits, classes_last(target, class_axis), weight, label_smoothing, reduction
        )
        return loss.to(result_dtype(input, target, weight))
    index = target.reshape(logits.shape[:-1]).long()
    loss = _of_indices(logits, index, weight, label_smoothing, ignore_index, reduction)
    return loss.to(input.dtype)


def _of_indices(
    logits: Tensor,
    index: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    ignore_index: int,
    reduction: str,
) -> Tensor:
    """Return the loss where targets are indices."""
    wide, classes = logits.to(compute_dtype(logits.dtype)), logits.shape[-1]
    highest = torch.amax(wide.detach(), -1, keepdim=True)
    log_total = torch.log(torch.sum(torch.exp(wide - highest), -1, keepdim=True))
    log_prob = number_at(index, wide) - highest[..., 0] - log_total[..., 0]
    loss, weights = picked(log_prob, index, classes, weight, ignore_index)
    if label_smoothing > 0:
        spread = -torch.sum(_weighted(wide - highest - log_total, weight), -1)
        spread = torch.where(index == ignore_index, torch.zeros_like(spread), spread)
        loss = (1 - label_smoothing) * loss + label_smoothing / classes * spread
    return class_mean(loss, weights, reduction)


def _of_probabilities(
    logits: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float, reduction: str
) -> Tensor:
    """Return the loss where targets are probabilities."""
    dtype = compute_dtype(result_dtype(logits, target))
    log_probs = torch.log_softmax(logits.to(dtype), -1)
    target = target.to(dtype)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[-1]
    return reduced(-torch.sum(_weighted(log_probs * target, weight), -1), reduction)


def _weighted(of_classes: Tensor, weight: Tensor | None) -> Tensor:
    """Return a tensor times the weights of the classes, which are on its last axis."""
    return of_classes if weight is None else of_classes * weight.to(of_classes.dtype)
