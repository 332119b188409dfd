"""RAdam: Adam that waits until its second moment has seen enough gradients."""

import torch

from torch_ref._math import bias_correction, ema, ema_of_square, is_zero, log_of, one_minus


def _rectification(beta2, step):
    """Return whether the step is rectified, and the factor (a harmless one where it is not)."""
    rho_inf = 2 / one_minus(beta2) - 1
    rho = _average_length(beta2, step, rho_inf)
    long, longest = max(rho, 5), max(rho_inf, 5)
    square = (long - 4) / (longest - 4) * ((long - 2) / (longest - 2)) * (longest / long)
    return rho > 5, square**0.5


def _average_length(beta2, step, rho_inf):
    """Return rho_t: how many gradients the second moment is an average of."""
    half, first = (-0.5 * count * log_of(beta2) for count in (step, 1))
    if half < 1:
        return step - (step * _coth_less_pole(half) - _coth_less_pole(first))
    return rho_inf - 2 * step * beta2**step / bias_correction(beta2, step)


def _coth_less_pole(x):
    """Return coth(x) - 1/x for x in (0, 1] by its continued fraction, to double precision."""
    tail = 0.0
    for odd in range(17, 3, -2):
        tail = x * x / (odd + tail)
    return x / (3 + tail)


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, is_rectified, rectification,
    maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one tensor and its new moments."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    scale = rectification * bias_correction(beta2, step) ** 0.5
    adaptive = scale / (torch.sqrt(exp_avg_sq) + eps) if is_rectified else 1
    update = -(lr / bias_correction(beta1, step)) * (exp_avg * adaptive)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq
