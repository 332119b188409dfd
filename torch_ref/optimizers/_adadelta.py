"""Adadelta: a step along the gradient, in the running size of past steps over that of gradients."""

import torch

from torch_ref._math import ema_of_square, is_zero


def _update_leaf(
    param, grad, square_avg, acc_delta, *,
    lr, rho, eps, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new running means."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    square_avg = ema_of_square(square_avg, grad, rho)
    delta = torch.sqrt(acc_delta + eps) / torch.sqrt(square_avg + eps) * grad
    acc_delta = ema_of_square(acc_delta, delta, rho)
    return -lr * delta, square_avg, acc_delta
