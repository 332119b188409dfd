"""The cross entropy of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._class_indices import (
    as_indices,
    check_weight,
    class_mean,
    classes_last,
    picked,
)
from torch_ref.functional._reduction import check_reduction, reduced, result_dtype


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
    check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    logits = classes_last(input, class_axis)
    check_weight(input, weight, logits.shape[-1])
    if target.shape == input.shape:
        _check_probabilities(target, ignore_index)
        loss = _of_probabilities(
            logits, classes_last(target, class_axis), weight, label_smoothing, reduction
        )
        return loss.to(result_dtype(input, target, weight))
    index = as_indices(logits, target, ignore_index)
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
    log_probs = _log_softmax(logits.to(compute_dtype(logits.dtype)))
    loss, weights = picked(log_probs, index, weight, ignore_index)
    if label_smoothing > 0:
        spread = -torch.sum(_weighted(log_probs, weight), -1)
        spread = torch.where(index == ignore_index, torch.zeros_like(spread), spread)
        share = label_smoothing / log_probs.shape[-1]
        loss = (1 - label_smoothing) * loss + share * spread
    return class_mean(loss, weights, reduction)


def _of_probabilities(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    label_smoothing: float,
    reduction: str,
) -> Tensor:
    """Return the loss where targets are probabilities."""
    dtype = compute_dtype(result_dtype(logits, target))
    log_probs = _log_softmax(logits.to(dtype))
    target = target.to(dtype)
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[-1]
    return reduced(-torch.sum(_weighted(log_probs * target, weight), -1), reduction)


def _log_softmax(x: Tensor) -> Tensor:
    """Return the logarithm of the softmax along the last axis."""
    shifted = x - torch.amax(x, -1, keepdim=True).detach()
    return shifted - torch.log(torch.sum(torch.exp(shifted), -1, keepdim=True))


def _weighted(of_classes: Tensor, weight: Tensor | None) -> Tensor:
    """Return a tensor times the weights of the classes, which are on its last axis."""
    return of_classes if weight is None else of_classes * weight.to(of_classes.dtype)


def _check_probabilities(target: Tensor, ignore_index: int) -> None:
    """Check a target of the input's shape, with PyTorch's texts."""
    if not target.is_floating_point():
        raise TypeError(
            f"Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if ignore_index >= 0:
        raise ValueError("ignore_index is not supported for floating point target")
