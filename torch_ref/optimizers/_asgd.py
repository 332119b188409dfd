"""ASGD: gradient descent with a falling step size, and the average of where it has been."""

import functools
from typing import Any, NamedTuple

import torch

from torch_ref._checks import check_lr, check_params_given, check_weight_decay, known_value
from torch_ref._math import is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class ASGDState(NamedTuple):
    """State of :func:`asgd`, under PyTorch's keys."""

    step: int
    eta: Any
    mu: Any
    ax: Any


def asgd(
    lr=1e-2,
    lambd=1e-4,
    alpha=0.75,
    t0=1e6,
    weight_decay=0,
    *,
    maximize=False,
):
    """Averaged stochastic gradient descent, with PyTorch's step sizes."""
    check_lr(lr)
    check_weight_decay(weight_decay)
    for name, value in (("lambd", lambd), ("alpha", alpha), ("t0", t0)):
        known_value(name, value)

    def init(params):
        step = initial_step(params)
        return ASGDState(
            step=step,
            eta=torch.as_tensor(value_at(lr, step), dtype=torch.float32),
            mu=torch.ones((), dtype=torch.float32),
            ax=zeros_like(params),
        )

    def update(updates, state, params=None):
        check_params_given(params, "asgd")
        step = state.step + 1
        lambd_now = value_at(lambd, state.step)
        update_leaf = functools.partial(
            _update_leaf,
            eta=state.eta.double(),
            mu=state.mu,
            lambd=lambd_now,
            weight_decay=value_at(weight_decay, state.step),
            maximize=maximize,
        )
        updates, ax = update_leaves(update_leaf, updates, params, [state.ax])
        eta = _next_eta(step, value_at(lr, state.step), lambd_now, value_at(alpha, state.step))
        return updates, ASGDState(step, eta, _next_mu(step, value_at(t0, state.step)), ax)

    return GradientTransformation(init, update)


def _update_leaf(param, grad, ax, *, eta, mu, lambd, weight_decay, maximize):
    """Return the update of one tensor and its new average."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    update = -eta * (grad + lambd * param)
    moved = param + update
    ax = torch.where(mu == 1, moved, ax + mu * (moved - ax))
    return update, ax


def _next_eta(step, lr, lambd, alpha):
    """Return the learning rate of the next step."""
    return torch.as_tensor(lr / (1 + lambd * lr * step) ** alpha, dtype=torch.float32)


def _next_mu(step, t0):
    """Return the weight of the next parameters in the average."""
    return torch.as_tensor(1 / max(step - t0, 1), dtype=torch.float32)
