"""Adam: a step along the gradient's first moment, divided by the root of its second."""

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
from torch_ref._math import bias_correction, ema, ema_of_square, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class AdamState(NamedTuple):
    """State of :func:`adam` and :func:`adamw`, under PyTorch's keys."""

    step: int
    exp_avg: Any
    exp_avg_sq: Any
    max_exp_avg_sq: Any


def adam(
    lr=1e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay: float = 0,
    amsgrad=False,
    *,
    maximize=False,
    decoupled_weight_decay=False,
):
    """Adam, with PyTorch's coupled weight decay, AMSGrad and rounding."""
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)

    def init(params):
        return AdamState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            max_exp_avg_sq=zeros_like(params) if amsgrad else None,
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
            decoupled_weight_decay=decoupled_weight_decay,
        )
        updates, *moments = update_leaves(update_leaf, updates, params, state[1:])
        return updates, AdamState(step, *moments)

    return GradientTransformation(init, update)


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
