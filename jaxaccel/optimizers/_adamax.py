"""Adamax: Adam divided by the largest recent gradient instead of a root of squares."""

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
    check_betas,
    check_eps,
    check_lr,
    check_params_for_decay,
    check_weight_decay,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import bias_correction, ema, in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class AdamaxState(NamedTuple):
    """State of :func:`adamax`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    exp_avg: Params
    """First moment, like the parameters."""
    exp_inf: Params
    """Decaying maximum of the magnitudes, like the parameters (complex: of each part apart)."""

    torch_fields = TorchFields(
        ("exp_avg", "exp_inf"),
        shared=("step",),
        switches=("foreach", "differentiable", "capturable"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def adamax(
    lr: Hyperparameter = 2e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax: Adam with the infinity norm in place of the second moment.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        u_t = \max(\beta_2 u_{t-1},\, |g_t| + \epsilon) \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 - \beta_1^t}\,\frac{m_t}{u_t}

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the first moment and of the maximum, each in [0, 1).
        eps: Added to the gradient's magnitude before the maximum, at least 0.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdamaxState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps`` or ``weight_decay`` is negative, or a beta is outside [0, 1);
            or ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.Adamax``: same arguments, defaults, state keys, errors and numbers; a gradient
        that is NaN stays in the maximum. ``optax.adamaxw`` decays the parameters directly, which
        PyTorch's Adamax does not offer. Left out: ``foreach``, ``capturable`` and
        ``differentiable``, which say how and not what. A leaf whose gradient is ``None`` stays as
        it is; thawed later, it needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adamax(lr=0.01)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.01  0.01]

    References:
        Kingma, Ba. Adam: A Method for Stochastic Optimization. 2015, section 7.1.
        https://arxiv.org/abs/1412.6980
    """
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return AdamaxState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_inf=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("adamax", AdamaxState, updates, state, params)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay
        )
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        updates, exp_avg, exp_inf = update_leaves(
            update_leaf, updates, params, state[1:], step=step
        )
        return updates, AdamaxState(step, exp_avg, exp_inf)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, exp_avg, exp_inf, step, *,
    lr, beta1, beta2, eps, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one array, its new moment and its new maximum."""
    dtype = grad.dtype
    lr, keep, eps, weight_decay = in_dtype(dtype, lr, beta2, eps, weight_decay)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_inf = jnp.maximum(exp_inf * keep, jnp.abs(grad) + eps)
    update = -(lr / bias_correction(beta1, step, dtype)) * (exp_avg / exp_inf)
    return update, exp_avg, exp_inf
