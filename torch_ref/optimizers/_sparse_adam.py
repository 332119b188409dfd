"""SparseAdam: Adam on the rows of a table that a gradient touches, at the cost of those rows."""

import torch

from torch_ref._math import bias_correction, ema


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *, lr, beta1, beta2, eps, maximize,
):  # fmt: skip
    """Return the update of the touched rows of one table and their new moments."""
    grad = -grad if maximize else grad
    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema(exp_avg_sq, grad * grad, beta2)
    root = bias_correction(beta2, step) ** 0.5
    step_size = lr * root / bias_correction(beta1, step)
    return -step_size * (exp_avg / (torch.sqrt(exp_avg_sq) + eps)), exp_avg, exp_avg_sq
