"""Adamax: Adam divided by the largest recent gradient instead of a root of squares."""

import functools
from typing import Any, NamedTuple

import torch

from torch_ref._checks import (
    check_betas,
    check_eps,
    check_lr,
    check_params_for_decay,
    check_weight_decay,
)
from torch_ref._math import bias_correction, ema, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class AdamaxState(NamedTuple):
    """State of :func:`adamax`, under PyTorch's keys."""

    step: int
    exp_avg: Any
    exp_inf: Any


def adamax(
    lr=2e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay: float = 0,
    *,
    maximize=False,
):
    """Adamax: Adam with the infinity norm in place of the second moment."""
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)

    def init(params):
        return AdamaxState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_inf=zeros_like(params),
        )

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            beta1=value_at(betas[0], state.step),
            beta2=value_at(betas[1], state.step),
            eps=value_at(eps, state.step),
            weight_decay=value_at(weight_decay, state.step),
            maximize=maximize,
        )
        updates, exp_avg, exp_inf = update_leaves(update_leaf, updates, params, state[1:])
        return updates, AdamaxState(step, exp_avg, exp_inf)

    return GradientTransformation(init, update)


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
