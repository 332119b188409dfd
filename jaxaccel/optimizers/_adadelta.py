"""Adadelta: a step along the gradient, in the running size of past steps over that of gradients."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import (
    check_eps,
    check_lr,
    check_params_for_decay,
    check_weight_decay,
    known_value,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import ema_of_square, in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class AdadeltaState(NamedTuple):
    """State of :func:`adadelta`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    square_avg: Params
    """Running mean of squared gradients, like the parameters (complex: parts apart)."""
    acc_delta: Params
    """Running mean of squared steps, before the learning rate, like the parameters."""

    torch_fields = TorchFields(
        ("square_avg", "acc_delta"),
        shared=("step",),
        switches=("capturable", "foreach", "differentiable"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def adadelta(
    lr: Hyperparameter = 1.0,
    rho: DecayFactor = 0.9,
    eps: Hyperparameter = 1e-6,
    weight_decay: Hyperparameter = 0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adadelta, as in PyTorch.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        v_t &= \rho\,v_{t-1} + (1 - \rho)\,g_t^2, \qquad
        \Delta_t = \frac{\sqrt{u_{t-1} + \epsilon}}{\sqrt{v_t + \epsilon}}\,g_t \\
        u_t &= \rho\,u_{t-1} + (1 - \rho)\,\Delta_t^2, \qquad
        \theta_t = \theta_{t-1} - \gamma\,\Delta_t

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        rho: Decay factor of both running means, in [0, 1].
        eps: Added under both roots, at least 0; it sets the size of the first step.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdadeltaState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps`` or ``weight_decay`` is negative, or ``rho`` is outside [0, 1];
            or ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.Adadelta``: same arguments, defaults, state keys, errors and numbers. Left
        out: ``foreach``, ``capturable`` and ``differentiable``, which say how and not what.
        ``step`` is one int32 for the whole tree, where PyTorch keeps a float32 per parameter. A
        leaf whose gradient is ``None`` stays as it is; a ``step`` of its own, which decides
        nothing, it has inside :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adadelta(eps=1e-2)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates.round(2))
        [-0.31  0.32]

    References:
        Zeiler. ADADELTA: An Adaptive Learning Rate Method. 2012.
        https://arxiv.org/abs/1212.5701
    """
    check_lr(lr)
    known_rho = known_value("rho", rho)
    if known_rho is not None and not 0.0 <= known_rho <= 1.0:
        raise ValueError(f"Invalid rho value: {rho}")
    check_eps(eps)
    check_weight_decay(weight_decay)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return AdadeltaState(
            step=initial_step(params),
            square_avg=zeros_like(params),
            acc_delta=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("adadelta", AdadeltaState, updates, state, params)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        updates, *averages = update_leaves(update_leaf, updates, params, state[1:])
        return updates, AdadeltaState(step, *averages)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, square_avg, acc_delta, *,
    lr, rho, eps, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one array and its new running means."""
    lr, eps, weight_decay = in_dtype(grad.dtype, lr, eps, weight_decay)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    square_avg = ema_of_square(square_avg, grad, rho)
    delta = jnp.sqrt(acc_delta + eps) / jnp.sqrt(square_avg + eps) * grad
    acc_delta = ema_of_square(acc_delta, delta, rho)
    return -lr * delta, square_avg, acc_delta
