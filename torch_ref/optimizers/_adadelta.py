"""Adadelta: a step along the gradient, in the running size of past steps over that of gradients."""

import functools
from typing import Any, NamedTuple

import torch

from torch_ref._checks import (
    check_eps,
    check_lr,
    check_params_for_decay,
    check_weight_decay,
    known_value,
)
from torch_ref._math import ema_of_square, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class AdadeltaState(NamedTuple):
    """State of :func:`adadelta`, under PyTorch's keys."""

    step: int
    square_avg: Any
    acc_delta: Any


def adadelta(
    lr=1.0,
    rho=0.9,
    eps=1e-6,
    weight_decay=0,
    *,
    maximize=False,
):
    """Adadelta, as in PyTorch."""
    check_lr(lr)
    known_rho = known_value("rho", rho)
    if known_rho is not None and not 0.0 <= known_rho <= 1.0:
        raise ValueError(f"Invalid rho value: {rho}")
    check_eps(eps)
    check_weight_decay(weight_decay)

    def init(params):
        return AdadeltaState(
            step=initial_step(params),
            square_avg=zeros_like(params),
            acc_delta=zeros_like(params),
        )

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        update_leaf = functools.partial(
            _update_leaf,
            lr=value_at(lr, state.step),
            rho=value_at(rho, state.step),
            eps=value_at(eps, state.step),
            weight_decay=value_at(weight_decay, state.step),
            maximize=maximize,
        )
        updates, *averages = update_leaves(update_leaf, updates, params, state[1:])
        return updates, AdadeltaState(state.step + 1, *averages)

    return GradientTransformation(init, update)


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
