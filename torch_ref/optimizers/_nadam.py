"""NAdam: Adam with Nesterov's look ahead, and a momentum that warms up."""

import functools
from typing import Any, NamedTuple

import torch

from torch_ref._checks import (
    check_betas,
    check_eps,
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from torch_ref._math import bias_correction, ema, ema_of_square, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class NAdamState(NamedTuple):
    """State of :func:`nadam`, under PyTorch's keys."""

    step: int
    mu_product: torch.Tensor
    exp_avg: Any
    exp_avg_sq: Any


def nadam(
    lr=2e-3,
    betas=(0.9, 0.999),
    eps=1e-8,
    weight_decay: float = 0,
    momentum_decay=4e-3,
    decoupled_weight_decay=False,
    *,
    maximize=False,
):
    """NAdam, with PyTorch's momentum schedule and its product of coefficients."""
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)
    check_non_negative("momentum_decay", momentum_decay, "Invalid momentum_decay value")

    def init(params):
        return NAdamState(
            step=initial_step(params),
            mu_product=torch.ones((), dtype=torch.float32),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        step = state.step + 1
        beta1 = value_at(betas[0], state.step)
        mu_product, grad_share, exp_avg_share = _momentum(
            state.mu_product,
            step,
            beta1=beta1,
            momentum_decay=value_at(momentum_decay, state.step),
        )
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            beta1=beta1,
            beta2=value_at(betas[1], state.step),
            eps=value_at(eps, state.step),
            weight_decay=value_at(weight_decay, state.step),
            grad_share=grad_share,
            exp_avg_share=exp_avg_share,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )
        updates, *moments = update_leaves(update_leaf, updates, params, state[2:])
        return updates, NAdamState(step, mu_product, *moments)

    return GradientTransformation(init, update)


def _momentum(mu_product, step, *, beta1, momentum_decay):
    """Return the new product, and the shares of gradient and first moment in the step."""

    def coefficient(t):
        return beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))

    mu, mu_next = coefficient(step), coefficient(step + 1)
    mu_product = mu_product * torch.as_tensor(mu, dtype=torch.float32)
    product = mu_product.item()
    grad_share = (1 - mu) / (1 - product)
    exp_avg_share = mu_next / (1 - product * mu_next)
    return mu_product, grad_share, exp_avg_share


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, grad_share, exp_avg_share,
    maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one tensor and its new moments."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    denom = torch.sqrt(exp_avg_sq) / bias_correction(beta2, step) ** 0.5 + eps
    update = -lr * ((grad_share * grad + exp_avg_share * exp_avg) / denom)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq
