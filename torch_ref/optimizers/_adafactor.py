"""Adafactor: a step along the gradient, over a second moment kept as one row and one column."""

import torch

from torch_ref._math import is_zero, lerp


def _update_leaf(
    param, grad, row_var, col_var, variance, eps1, step, *,
    lr, beta2_decay, eps2, d, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new second moment, whole or in two factors."""
    grad = -grad if maximize else grad
    newest = step**beta2_decay
    alpha = max(eps2, float(_root_mean_square(param))) * min(lr, 1 / step**0.5)

    if variance is None:
        row_axis, col_axis = _mean_axes(row_var), _mean_axes(col_var)
        square = grad * grad
        row_var = lerp(row_var, torch.mean(square, row_axis, keepdim=True), newest)
        col_var = lerp(col_var, torch.mean(square, col_axis, keepdim=True), newest)
        mean = torch.mean(row_var, col_axis, keepdim=True)
        estimate = row_var / torch.maximum(mean, eps1) * col_var
    else:
        estimate = variance = lerp(variance, grad * grad, newest)

    update = grad / torch.maximum(torch.sqrt(estimate), eps1)
    update = -(alpha / max(1.0, float(_root_mean_square(update)) / d)) * update
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, row_var, col_var, variance, eps1


def _mean_axes(factor):
    """Return the axes that a factor is a mean over (or, just as well, of size 1 anyway)."""
    return tuple(axis for axis, size in enumerate(factor.shape) if size == 1)


def _root_mean_square(array):
    """Return the root of the mean square of all elements."""
    return torch.sqrt(torch.mean(array * array))
