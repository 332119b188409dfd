"""SGD: a step along the gradient, with momentum, dampening and Nesterov's look ahead."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_in_use, check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import (
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
    known_value,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import BufferDecay, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class SGDState(NamedTuple):
    """State of :func:`sgd`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates (PyTorch keeps none; schedules and step 1 need it)."""
    momentum_buffer: Params | None
    """Running sum of gradients, like the parameters; ``None`` when ``momentum`` is the number 0."""

    torch_fields = TorchFields(
        per_parameter=("momentum_buffer",),
        switches=("foreach", "differentiable", "fused"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def sgd(
    lr: Hyperparameter = 1e-3,
    momentum: BufferDecay = 0,
    dampening: Hyperparameter = 0,
    weight_decay: Hyperparameter = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Stochastic gradient descent, with PyTorch's momentum, dampening and weight decay.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        b_1 &= g_1, \qquad b_t = \mu\,b_{t-1} + (1 - \tau)\,g_t \\
        \theta_t &= \theta_{t-1} - \gamma\,b_t
        \qquad (\text{Nesterov: } g_t + \mu\,b_t \text{ in place of } b_t)

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        momentum: Factor :math:`\mu` of the buffer, at least 0.
        dampening: :math:`\tau`: the share of the gradient kept out of the buffer, except at the
            first step.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        nesterov: Look one step ahead along the buffer.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`SGDState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``momentum`` or ``weight_decay`` is negative; ``nesterov`` without
            momentum or with dampening; or ``update`` is called without parameters while
            ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.SGD``: same arguments, defaults, state key, errors and numbers (``optax.sgd``
        has no dampening and no weight decay). Left out: ``foreach``, ``fused`` and
        ``differentiable``, which say how and not what. A momentum that a schedule takes through
        exactly 0 still passes the gradient through the buffer. A leaf whose gradient is ``None``
        stays as it is; thawed later, it needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.sgd(lr=0.1, momentum=0.9, nesterov=True)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.38  0.76]

    References:
        Sutskever, Martens, Dahl, Hinton. On the importance of initialization and momentum in deep
        learning. 2013.
    """
    check_lr(lr)
    check_non_negative("momentum", momentum, "Invalid momentum value")
    check_weight_decay(weight_decay)
    known_momentum = known_value("momentum", momentum)
    known_dampening = known_value("dampening", dampening)
    if nesterov and (
        (known_momentum is not None and known_momentum <= 0) or known_dampening not in (0, None)
    ):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return SGDState(
            step=initial_step(params),
            momentum_buffer=None if is_zero(momentum) else zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("sgd", SGDState, updates, state, params)
        check_in_use("sgd", state, momentum_buffer=not is_zero(momentum))
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, momentum=momentum, dampening=dampening, weight_decay=weight_decay
        )
        update_leaf = functools.partial(_update_leaf, nesterov=nesterov, maximize=maximize, **now)
        updates, momentum_buffer = update_leaves(update_leaf, updates, params, state[1:], step=step)
        return updates, SGDState(step, momentum_buffer)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, momentum_buffer, step, *,
    lr, momentum, dampening, weight_decay, nesterov, maximize,
):  # fmt: skip
    """Return the update of one array and its new momentum buffer."""
    lr, momentum, dampening, weight_decay = in_dtype(
        grad.dtype, lr, momentum, dampening, weight_decay
    )
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param
    if momentum_buffer is None:
        return -lr * grad, None

    if is_zero(dampening):  # from a buffer of zeros, step 1 needs no case of its own
        momentum_buffer = momentum * momentum_buffer + grad
    else:
        damped = momentum * momentum_buffer + (1 - dampening) * grad
        momentum_buffer = jnp.where(step == 1, grad, damped)
    direction = grad + momentum * momentum_buffer if nesterov else momentum_buffer
    return -lr * direction, momentum_buffer
