"""NAdam: Adam with Nesterov's look ahead, and a momentum that warms up."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import (
    check_betas,
    check_eps,
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from jaxaccel._counts import map_counts, next_counts, renewed, schedule_step
from jaxaccel._math import (
    bias_correction,
    ema,
    ema_of_square,
    in_dtype,
    is_zero,
    one_minus,
    value_at,
    values_at,
)
from jaxaccel._tree import (
    initial_scalar,
    initial_step,
    short_repr,
    takes_shapes,
    update_leaves,
    zeros_like,
)
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class NAdamState(NamedTuple):
    """State of :func:`nadam`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    mu_product: jax.Array
    """float32 scalar: product of all momentum coefficients so far, 1 at the start."""
    exp_avg: Params
    """First moment, like the parameters."""
    exp_avg_sq: Params
    """Second moment, like the parameters (complex: of the real and imaginary part apart)."""

    torch_fields = TorchFields(
        ("exp_avg", "exp_avg_sq"),
        shared=("step", "mu_product"),
        switches=("foreach", "capturable", "differentiable"),
    )
    own_counts = ("step", "mu_product")
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def nadam(
    lr: Hyperparameter = 2e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0,
    momentum_decay: Hyperparameter = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""NAdam, with PyTorch's momentum schedule and its product of coefficients.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \mu_t &= \beta_1 \bigl(1 - \tfrac12\,0.96^{t \psi}\bigr), \qquad
        \bar\mu_t = \mu_1 \cdots \mu_t \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}
        \left( \frac{1 - \mu_t}{1 - \bar\mu_t}\,g_t
        + \frac{\mu_{t+1}}{1 - \bar\mu_t\,\mu_{t+1}}\,m_t \right)

    With ``decoupled_weight_decay`` the decay leaves the gradient alone and is
    :math:`-\gamma \lambda\,\theta_{t-1}` (NAdamW).

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the two moments, each in [0, 1).
        eps: Added to the root of the corrected second moment, at least 0.
        weight_decay: Weight decay, at least 0; added to the gradient (L2) unless decoupled.
        momentum_decay: :math:`\psi`, at least 0: how fast the momentum coefficient climbs from
            half of beta1 to beta1.
        decoupled_weight_decay: Shrink the parameters directly, as AdamW does.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and a :class:`NAdamState` whose moments have the parameters' shapes,
        dtypes and shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps``, ``weight_decay`` or ``momentum_decay`` is negative, or a beta
            is outside [0, 1); or ``update`` is called without parameters while ``weight_decay``
            is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.NAdam``: same arguments, defaults, state keys, errors and numbers, where
        ``optax.nadam`` has no momentum schedule. ``mu_product`` is a float32 for parameters of
        every dtype, and each coefficient is rounded to float32 before it is multiplied in (as with
        PyTorch's default dtype, which ``torch.set_default_dtype`` changes there and not here);
        PyTorch keeps one per parameter, jaxaccel one for the whole tree, like ``step``. Left out:
        ``foreach``, ``capturable`` and ``differentiable``, which say how and not what. A leaf whose
        gradient is ``None`` stays as it is; thawed later, it needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.nadam(lr=0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates.round(4))
        [-0.1056  0.1056]

    References:
        Dozat. Incorporating Nesterov Momentum into Adam. 2016.
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)
    check_non_negative("momentum_decay", momentum_decay, "Invalid momentum_decay value")
    switches = {"maximize": maximize, "decoupled_weight_decay": decoupled_weight_decay}

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return NAdamState(
            step=initial_step(params),
            mu_product=initial_scalar(params, np.float32, 1),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("nadam", NAdamState, updates, state, params)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay
        )
        momentum = functools.partial(
            _momentum,
            beta1=now["beta1"],
            momentum_decay=value_at(momentum_decay, at, "momentum_decay"),
        )
        mu_product, grad_share, exp_avg_share = map_counts(momentum, state.mu_product, step)
        mu_product = renewed(mu_product, state.mu_product, updates)
        update_leaf = functools.partial(_update_leaf, **switches, **now)
        counts = {"step": step, "grad_share": grad_share, "exp_avg_share": exp_avg_share}
        updates, *moments = update_leaves(update_leaf, updates, params, state[2:], **counts)
        return updates, NAdamState(step, mu_product, *moments)

    return optax.GradientTransformationExtraArgs(init, update)


def _momentum(mu_product, step, *, beta1, momentum_decay):
    """Return the new product, and the shares of gradient and first moment in the step.

    What is near 1 is formed from its distance to 1, so that float32 keeps the digits of the
    distance.
    """
    dtype = jnp.result_type(float)
    beta1, rest, momentum_decay = in_dtype(dtype, beta1, one_minus(beta1), momentum_decay)

    def coefficient(t):
        half = 0.5 * jnp.exp(t.astype(dtype) * (momentum_decay * math.log(0.96)))
        mu, one_minus_mu = beta1 * (1 - half), rest + beta1 * half
        return jnp.where(mu < 0.5, mu, 1 - one_minus_mu), one_minus_mu

    mu, one_minus_mu = coefficient(step)
    mu_next, one_minus_mu_next = coefficient(step + 1)
    mu_product = mu_product.astype(jnp.float32) * mu.astype(jnp.float32)
    product = mu_product.astype(dtype)
    grad_share = one_minus_mu / (1 - product)
    exp_avg_share = mu_next / ((1 - product) + product * one_minus_mu_next)
    return mu_product, grad_share, exp_avg_share


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, grad_share, exp_avg_share,
    maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one array and its new moments."""
    dtype = grad.dtype
    lr, eps, weight_decay = in_dtype(dtype, lr, eps, weight_decay)
    grad_share, exp_avg_share = in_dtype(dtype, grad_share, exp_avg_share)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    denom = jnp.sqrt(exp_avg_sq) / jnp.sqrt(bias_correction(beta2, step, dtype)) + eps
    update = -lr * ((grad_share * grad + exp_avg_share * exp_avg) / denom)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq
