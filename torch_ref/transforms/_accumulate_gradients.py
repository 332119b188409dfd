"""Gradient accumulation around any optimizer: one step on the mean of several gradients."""

import torch


def _add(grad, buffer, *, weight, begins):
    """Return the weighted sum of one tensor's gradients with one more; weight 0 adds nothing.

    What is in the buffer at the first of them counts for nothing: the last step has used it.
    """
    sum = torch.zeros_like(buffer) if begins else buffer
    if grad is None:
        return sum
    grad = grad.to(buffer.dtype)
    if weight is None:
        return sum + grad
    return sum if weight == 0 else sum + weight * grad


def _mean(grad, buffer, total):
    """Return the mean gradient in the dtype that gradients come in; ``None`` stays ``None``."""
    return None if grad is None else (buffer / total).to(grad.dtype)
