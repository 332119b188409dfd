"""Rprop: each parameter has a step size of its own, and the gradient gives only the sign."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_lr, known_value
from torch_ref._math import value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class RpropState(NamedTuple):
    """State of :func:`rprop`, under PyTorch's keys."""

    step: int
    prev: Any
    step_size: Any


def rprop(
    lr=1e-2,
    etas=(0.5, 1.2),
    step_sizes=(1e-6, 50),
    *,
    maximize=False,
):
    """Resilient backpropagation, for gradients of the whole data set."""
    check_lr(lr)
    _check_etas(etas)
    _check_pair("step_sizes", step_sizes)

    def init(params):
        step = initial_step(params)
        step_size = value_at(lr, step)
        return RpropState(
            step=step,
            prev=zeros_like(params),
            step_size=pytree.tree_map(lambda param: _filled_like(param, step_size), params),
        )

    def update(updates, state, params=None):
        update_leaf = functools.partial(
            _update_leaf,
            etaminus=value_at(etas[0], state.step),
            etaplus=value_at(etas[1], state.step),
            step_size_min=value_at(step_sizes[0], state.step),
            step_size_max=value_at(step_sizes[1], state.step),
            maximize=maximize,
        )
        updates, *slots = update_leaves(update_leaf, updates, params, state[1:])
        return updates, RpropState(state.step + 1, *slots)

    return GradientTransformation(init, update)


def _update_leaf(
    param, grad, prev, step_size, *,
    etaminus, etaplus, step_size_min, step_size_max, maximize,
):  # fmt: skip
    """Return the update of one tensor, the gradient to remember and the new step sizes."""
    del param
    grad = -grad if maximize else grad
    agreement = grad * prev
    turned = agreement < 0
    grown = torch.where(agreement > 0, etaplus * step_size, step_size)
    step_size = torch.where(
        turned,
        torch.clamp(etaminus * step_size, step_size_min, step_size_max),
        torch.clamp(grown, step_size_min, step_size_max),
    )
    grad = torch.where(turned, 0, grad)
    return _against(grad, step_size), grad, step_size


def _against(grad, step_size):
    """Return a step against the sign of the gradient; none where that is 0 or NaN."""
    return torch.where(grad > 0, -step_size, torch.where(grad < 0, step_size, -0.0))


def _filled_like(param, value):
    """Return a tensor like the parameter, full of a number; both parts of a complex one are."""
    return torch.full_like(param, value * (1 + 1j) if param.is_complex() else value)


def _check_pair(name, pair):
    """Return a pair of numbers as floats, None where they are not known yet."""
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise TypeError(f"{name} must be a pair, got {pair!r}")
    return known_value(f"{name}[0]", pair[0]), known_value(f"{name}[1]", pair[1])


def _check_etas(etas):
    """Check the factors: the first in (0, 1), the second above 1."""
    etaminus, etaplus = _check_pair("etas", etas)
    shrinks = etaminus is None or 0.0 < etaminus < 1.0
    grows = etaplus is None or etaplus > 1.0
    if not (shrinks and grows):
        raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
