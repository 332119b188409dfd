"""Targets that are indices of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref._math import compute_dtype


def classes_last(tensor: Tensor, class_axis: int) -> Tensor:
    """Return the tensor with its classes last; one axis alone is that of the classes."""
    if tensor.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    return tensor if tensor.ndim == 1 else torch.movedim(tensor, class_axis, -1)


def check_weight(input: Tensor, weight: Tensor | None, classes: int) -> None:
    """Check the weights of the classes, with PyTorch's texts."""
    if not input.is_floating_point():
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    if weight is None:
        return
    if weight.shape != (classes,):
        raise ValueError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype not in (input.dtype, compute_dtype(input.dtype)):
        raise TypeError(f"expected weight of dtype {input.dtype} but found {weight.dtype}")


def as_indices(log_probs: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Return the target in the shape of ``log_probs`` without its last axis, all checked."""
    *expected, classes = log_probs.shape
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(f"expected target dtype to be an integer, but got {target.dtype}")
    if not expected:
        if target.numel() != 1 or target.ndim > 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.numel()}"
            )
        target = target.reshape(())
    elif target.shape[:1] != (expected[0],):
        found = target.shape[0] if target.ndim else 0
        raise ValueError(
            f"Expected input batch_size ({expected[0]}) to match target batch_size ({found})."
        )
    elif list(target.shape) != expected:
        raise ValueError(f"Expected target size {expected}, got {list(target.shape)}")
    target = target.long()
    outside = target[(target != ignore_index) & ((target < 0) | (target >= classes))]
    if outside.numel():
        raise IndexError(f"Target {int(outside[0])} is out of bounds.")
    return target


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
