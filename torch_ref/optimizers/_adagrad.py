"""Adagrad: a step along the gradient, divided by the root of the sum of all its squares so far."""

import torch

from torch_ref._math import is_zero


def _update_leaf(
    param, grad, sum, step, *,
    lr, lr_decay, weight_decay, eps, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new sum of squares."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    sum = sum + grad * grad
    if not is_zero(lr_decay):
        lr = lr / (1 + (step - 1) * lr_decay)
    return -lr * (grad / (torch.sqrt(sum) + eps)), sum
