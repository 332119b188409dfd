"""Adam: a step along the gradient's first moment, divided by the root of its second."""

import torch

from torch_ref._math import bias_correction, ema, ema_of_square, is_zero


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one tensor and its new moments."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    if max_exp_avg_sq is None:
        largest = exp_avg_sq
    else:
        largest = max_exp_avg_sq = torch.maximum(max_exp_avg_sq, exp_avg_sq)

    denom = torch.sqrt(largest) / bias_correction(beta2, step) ** 0.5 + eps
    update = -(lr / bias_correction(beta1, step)) * (exp_avg / denom)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq, max_exp_avg_sq
