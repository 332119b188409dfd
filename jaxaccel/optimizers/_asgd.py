"""ASGD: gradient descent with a falling step size, and the average of where it has been."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_lr, check_params_given, check_weight_decay, known_value
from jaxaccel._counts import map_counts, next_counts, renewed, schedule_step
from jaxaccel._math import in_dtype, is_zero, value_at, values_at
from jaxaccel._tree import (
    initial_scalar,
    initial_step,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class ASGDState(NamedTuple):
    """State of :func:`asgd`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    eta: jax.Array
    """float32 scalar: the learning rate of the next step."""
    mu: jax.Array
    """float32 scalar: the weight of the next parameters in the average."""
    ax: Params
    """The average, like the parameters: the parameters themselves until step ``t0`` is over."""

    torch_fields = TorchFields(
        ("ax",),
        shared=("step", "eta", "mu"),
        switches=("foreach", "differentiable", "capturable"),
    )
    own_counts = ("step", "eta", "mu")
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def asgd(
    lr: Hyperparameter = 1e-2,
    lambd: Hyperparameter = 1e-4,
    alpha: Hyperparameter = 0.75,
    t0: Hyperparameter = 1e6,
    weight_decay: Hyperparameter = 0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Averaged stochastic gradient descent, with PyTorch's step sizes.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        \theta_t &= \theta_{t-1} - \eta_t\,(g_t + \lambda_d\,\theta_{t-1}) \\
        a_t &= a_{t-1} + \mu_t\,(\theta_t - a_{t-1}) \\
        \eta_{t+1} &= \frac{\gamma_t}{(1 + \lambda_d\,\gamma_t\,t)^{\alpha}}, \qquad
        \mu_{t+1} = \frac{1}{\max(1,\; t - t_0)}

    with :math:`\eta_1 = \gamma_1` and :math:`\mu_1 = 1`. A change of ``lr``, by a schedule, is
    therefore felt one step later. The average is in the state, as ``ax``.

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        lambd: Decay term :math:`\lambda_d`: shrinks the parameters and, with the steps, the
            learning rate.
        alpha: Power of the learning rate's fall.
        t0: Number of steps after which averaging begins.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`ASGDState` whose ``ax`` has the parameters' shapes,
        dtypes and shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr`` or ``weight_decay`` is negative, or ``update`` is called without
            parameters.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.ASGD``: same arguments, defaults, state keys, errors and numbers (optax has no
        namesake). Each step uses the learning rate that the step before it computed, and ``eta``
        and ``mu`` are float32 for every dtype of the parameters, both as in PyTorch with its
        default dtype, which ``torch.set_default_dtype`` changes there and not here; one of each
        serves the whole tree. Left out: ``foreach``, ``capturable`` and ``differentiable``, which
        say how and not what. A leaf whose gradient is ``None`` stays as it is; thawed later, it
        needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.asgd(lr=0.125, t0=0)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates, state.mu)
        [-0.2500125  0.500025 ] 1.0

    References:
        Polyak, Juditsky. Acceleration of stochastic approximation by averaging. 1992.
    """
    check_lr(lr)
    check_weight_decay(weight_decay)
    for name, value in (("lambd", lambd), ("alpha", alpha), ("t0", t0)):
        known_value(name, value)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        step = initial_step(params)
        first_lr = jnp.asarray(value_at(lr, step, "lr"), jnp.float32)
        return ASGDState(
            step=step,
            eta=initial_scalar(params, np.float32) + first_lr,
            mu=initial_scalar(params, np.float32, 1),
            ax=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("asgd", ASGDState, updates, state, params)
        check_params_given(params, "asgd")
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lambd=lambd, weight_decay=weight_decay)
        lr_now, alpha_now, t0_now = values_at(at, lr=lr, alpha=alpha, t0=t0).values()
        eta = map_counts(functools.partial(_first_eta, lr=lr_now), state.eta, step)
        next_eta = functools.partial(_next_eta, lr=lr_now, lambd=now["lambd"], alpha=alpha_now)
        etas = map_counts(next_eta, step)
        mus = map_counts(functools.partial(_next_mu, t0=t0_now), step)
        etas, mus = renewed(etas, state.eta, updates), renewed(mus, state.mu, updates)
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        updates, ax = update_leaves(update_leaf, updates, params, [state.ax], eta=eta, mu=state.mu)
        return updates, ASGDState(step, etas, mus, ax)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(param, grad, ax, *, eta, mu, lambd, weight_decay, maximize):
    """Return the update of one array and its new average."""
    eta, mu, lambd, weight_decay = in_dtype(grad.dtype, eta, mu, lambd, weight_decay)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    update = -eta * (grad + lambd * param)
    moved = param + update
    ax = jnp.where(mu == 1, moved, ax + mu * (moved - ax))
    return update, ax


def _first_eta(eta: Any, step: Any, lr: Any) -> jax.Array:
    """Return the learning rate of this step: at the first one what is in force then."""
    return jnp.where(step == 1, jnp.asarray(lr, jnp.float32).astype(eta.dtype), eta)


def _next_eta(step: Any, lr: Any, lambd: Any, alpha: Any) -> jax.Array:
    """Return the learning rate of the next step, computed in the default float.

    ``log1p`` keeps what ``1 + lambd lr step`` would round away.
    """
    dtype = jnp.result_type(float)
    lr, lambd, alpha = in_dtype(dtype, lr, lambd, alpha)
    growth = jnp.log1p(lambd * lr * step.astype(dtype))
    return (lr * jnp.exp(-alpha * growth)).astype(jnp.float32)


def _next_mu(step: Any, t0: Any) -> jax.Array:
    """Return the weight of the next parameters in the average."""
    dtype = jnp.result_type(float)
    (t0,) = in_dtype(dtype, t0)
    return (1 / jnp.maximum(step.astype(dtype) - t0, 1)).astype(jnp.float32)
