"""Gradient accumulation around any optimizer: one step on the mean of several gradients."""

import torch


def _add(grad, buffer, weight):
    """Return the weighted sum of one tensor's gradients with one more; weight 0 adds nothing."""
    grad = grad.to(buffer.dtype)
    if weight is None:
        return buffer + grad
    return torch.where(weight == 0, buffer, buffer + weight * grad)


def _mean(grad, buffer, total):
    """Return the mean gradient in the dtype that gradients come in; ``None`` stays ``None``."""
    return None if grad is None else (buffer / total).to(grad.dtype)


def _update_leaf(param, grad, buffer, *, steps_now):
    """Return the update of one tensor and its buffer, emptied once its update is out."""
    del param, grad
    nothing = torch.zeros_like(buffer)
    return (buffer, nothing) if steps_now else (-nothing, buffer)
