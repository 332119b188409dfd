"""RMSprop: a step along the gradient, divided by its running root mean square."""

import torch

from torch_ref._math import ema, ema_of_square, is_zero


def _update_leaf(
    param, grad, square_avg, momentum_buffer, grad_avg, *,
    lr, alpha, eps, weight_decay, momentum, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new running means."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    square_avg = variance = ema_of_square(square_avg, grad, alpha)
    if grad_avg is not None:
        grad_avg = ema(grad_avg, grad, alpha)
        variance = square_avg - grad_avg * grad_avg
    direction = grad / (torch.sqrt(variance) + eps)
    if momentum_buffer is not None:
        direction = momentum_buffer = momentum * momentum_buffer + direction
    return -lr * direction, square_avg, momentum_buffer, grad_avg
