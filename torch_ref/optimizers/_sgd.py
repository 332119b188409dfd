"""SGD: a step along the gradient, with momentum, dampening and Nesterov's look ahead."""

import functools
from typing import Any, NamedTuple

from torch_ref._checks import (
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
    known_value,
)
from torch_ref._math import is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class SGDState(NamedTuple):
    """State of :func:`sgd`, under PyTorch's keys."""

    step: int
    momentum_buffer: Any


def sgd(
    lr=1e-3,
    momentum=0,
    dampening=0,
    weight_decay=0,
    nesterov=False,
    *,
    maximize=False,
):
    """Stochastic gradient descent, with PyTorch's momentum, dampening and weight decay."""
    check_lr(lr)
    check_non_negative("momentum", momentum, "Invalid momentum value")
    check_weight_decay(weight_decay)
    known_momentum = known_value("momentum", momentum)
    known_dampening = known_value("dampening", dampening)
    if nesterov and (
        (known_momentum is not None and known_momentum <= 0) or known_dampening not in (0, None)
    ):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def init(params):
        return SGDState(
            step=initial_step(params),
            momentum_buffer=None if is_zero(momentum) else zeros_like(params),
        )

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            momentum=value_at(momentum, state.step),
            dampening=value_at(dampening, state.step),
            weight_decay=value_at(weight_decay, state.step),
            nesterov=nesterov,
            maximize=maximize,
        )
        updates, momentum_buffer = update_leaves(update_leaf, updates, params, state[1:])
        return updates, SGDState(step, momentum_buffer)

    return GradientTransformation(init, update)


def _update_leaf(
    param, grad, momentum_buffer, step, *,
    lr, momentum, dampening, weight_decay, nesterov, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new momentum buffer."""
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param
    if momentum_buffer is None:
        return -lr * grad, None

    damped = momentum * momentum_buffer + (1 - dampening) * grad
    momentum_buffer = grad if step == 1 else damped
    direction = grad + momentum * momentum_buffer if nesterov else momentum_buffer
    return -lr * direction, momentum_buffer
