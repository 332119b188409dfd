"""RMSprop: a step along the gradient, divided by its running root mean square."""

import functools
from typing import Any, NamedTuple

import torch

from torch_ref._checks import (
    check_eps,
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from torch_ref._math import ema, ema_of_square, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class RMSpropState(NamedTuple):
    """State of :func:`rmsprop`, under PyTorch's keys."""

    step: int
    square_avg: Any
    momentum_buffer: Any
    grad_avg: Any


def rmsprop(
    lr=1e-2,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0,
    momentum=0,
    centered=False,
    maximize=False,
):
    """RMSprop, with PyTorch's momentum, its centring and its epsilon outside the root."""
    check_lr(lr)
    check_eps(eps)
    check_non_negative("momentum", momentum, "Invalid momentum value")
    check_weight_decay(weight_decay)
    check_non_negative("alpha", alpha, "Invalid alpha value")

    def init(params):
        return RMSpropState(
            step=initial_step(params),
            square_avg=zeros_like(params),
            momentum_buffer=None if is_zero(momentum) else zeros_like(params),
            grad_avg=zeros_like(params) if centered else None,
        )

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        update_leaf = functools.partial(
            _update_leaf,
            lr=value_at(lr, state.step),
            alpha=value_at(alpha, state.step),
            eps=value_at(eps, state.step),
            weight_decay=value_at(weight_decay, state.step),
            momentum=value_at(momentum, state.step),
            maximize=maximize,
        )
        updates, *averages = update_leaves(update_leaf, updates, params, state[1:])
        return updates, RMSpropState(state.step + 1, *averages)

    return GradientTransformation(init, update)


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
