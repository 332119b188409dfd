"""Adamax: Adam divided by the largest recent gradient instead of a root of squares."""

import torch

from torch_ref._math import bias_correction, ema, is_zero


def _update_leaf(
    param, grad, exp_avg, exp_inf, step, *,
    lr, beta1, beta2, eps, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one tensor, its new moment and its new maximum."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_inf = torch.maximum(exp_inf * beta2, torch.abs(grad) + eps)
    update = -(lr / bias_correction(beta1, step)) * (exp_avg / exp_inf)
    return update, exp_avg, exp_inf
