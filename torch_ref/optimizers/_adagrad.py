"""Adagrad: a step along the gradient, divided by the root of the sum of all its squares so far."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import (
    check_eps,
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from torch_ref._math import is_zero, value_at
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation


class AdagradState(NamedTuple):
    """State of :func:`adagrad`, under PyTorch's keys."""

    step: int
    sum: Any


def adagrad(
    lr=1e-2,
    lr_decay=0,
    weight_decay=0,
    initial_accumulator_value=0,
    eps=1e-10,
    *,
    maximize=False,
):
    """Adagrad, with PyTorch's learning rate decay and its epsilon outside the root."""
    check_lr(lr)
    check_non_negative("lr_decay", lr_decay, "Invalid lr_decay value")
    check_weight_decay(weight_decay)
    check_non_negative(
        "initial_accumulator_value",
        initial_accumulator_value,
        "Invalid initial_accumulator_value value",
    )
    check_eps(eps)

    def init(params):
        step = initial_step(params)
        start = float(value_at(initial_accumulator_value, step))

        def initial_sum(param):
            part = torch.full_like(param.real, start)
            return torch.complex(part, part) if param.is_complex() else part

        return AdagradState(step, pytree.tree_map_only(torch.Tensor, initial_sum, params))

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            lr_decay=value_at(lr_decay, state.step),
            weight_decay=value_at(weight_decay, state.step),
            eps=value_at(eps, state.step),
            maximize=maximize,
        )
        updates, sums = update_leaves(update_leaf, updates, params, state[1:])
        return updates, AdagradState(step, sums)

    return GradientTransformation(init, update)


def _update_leaf(
    param, grad, sum, step, *,
    lr, lr_decay, weight_decay, eps, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new sum of squares."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    sum = sum + grad * grad
    decayed_lr = lr / (1 + (step - 1) * lr_decay)
    return -decayed_lr * (grad / (torch.sqrt(sum) + eps)), sum
