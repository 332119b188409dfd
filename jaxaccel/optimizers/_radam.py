"""RAdam: Adam that waits until its second moment has seen enough gradients."""

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
from jaxaccel._counts import map_counts, next_counts, schedule_step
from jaxaccel._math import (
    bias_correction,
    ema,
    ema_of_square,
    in_dtype,
    is_zero,
    log_of,
    one_minus,
    values_at,
)
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class RAdamState(NamedTuple):
    """State of :func:`radam`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    exp_avg: Params
    """First moment, like the parameters."""
    exp_avg_sq: Params
    """Second moment, like the parameters (complex: of the real and imaginary part apart)."""

    torch_fields = TorchFields(
        ("exp_avg", "exp_avg_sq"),
        shared=("step",),
        switches=("foreach", "capturable", "differentiable"),
        group_has=("weight_decay",),
        group_lacks=("amsgrad",),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def radam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""RAdam: Adam with the variance of its early steps rectified.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \rho_\infty &= \frac{2}{1 - \beta_2} - 1, \qquad
        \rho_t = \rho_\infty - \frac{2 t \beta_2^t}{1 - \beta_2^t}, \qquad
        r_t = \sqrt{\frac{(\rho_t - 4)(\rho_t - 2)\,\rho_\infty}
        {(\rho_\infty - 4)(\rho_\infty - 2)\,\rho_t}} \\
        \theta_t &= \theta_{t-1} - \gamma\,\frac{m_t}{1 - \beta_1^t} \cdot
        \begin{cases}
        r_t \sqrt{1 - \beta_2^t} \,/\, (\sqrt{v_t} + \epsilon) & \rho_t > 5 \\
        1 & \text{otherwise}
        \end{cases}

    With ``decoupled_weight_decay`` the decay leaves the gradient alone and is
    :math:`-\gamma \lambda\,\theta_{t-1}` (RAdamW).

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the two moments, each in [0, 1). With the second at most 2/3 no
            step is ever rectified.
        eps: Added to the root of the second moment before its bias is corrected, at least 0.
        weight_decay: Weight decay, at least 0; added to the gradient (L2) unless decoupled.
        decoupled_weight_decay: Shrink the parameters directly, as AdamW does.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and a :class:`RAdamState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps`` or ``weight_decay`` is negative, or a beta is outside [0, 1);
            or ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.RAdam``: same arguments, defaults, state keys, errors and numbers.
        ``optax.radam`` adds eps to the corrected root, rectifies from 5 on where PyTorch wants more
        than 5, and loses digits of :math:`\rho_t` in float32. Left out: ``foreach``, ``capturable``
        and ``differentiable``, which say how and not what. A leaf whose gradient is ``None`` stays
        as it is; thawed later, it needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.radam(lr=0.01)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.02  0.04]

    References:
        Liu, Jiang, He, Chen, Liu, Gao, Han. On the Variance of the Adaptive Learning Rate and
        Beyond. 2020. https://arxiv.org/abs/1908.03265
    """
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return RAdamState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("radam", RAdamState, updates, state, params)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay
        )
        rectify = functools.partial(_rectification, now["beta2"])
        is_rectified, rectification = map_counts(rectify, step)
        update_leaf = functools.partial(
            _update_leaf,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
            **now,
        )
        updates, *moments = update_leaves(
            update_leaf,
            updates,
            params,
            state[1:],
            step=step,
            is_rectified=is_rectified,
            rectification=rectification,
        )
        return updates, RAdamState(step, *moments)

    return optax.GradientTransformationExtraArgs(init, update)


def _rectification(beta2, step):
    """Return whether the step is rectified, and the factor (a harmless one where it is not)."""
    dtype = jnp.result_type(float)
    (rest,) = in_dtype(dtype, one_minus(beta2))
    rho_inf = jnp.asarray(2 / rest - 1, dtype)
    rho = _average_length(beta2, step, rho_inf)
    long, longest = jnp.maximum(rho, 5), jnp.maximum(rho_inf, 5)
    square = (long - 4) / (longest - 4) * ((long - 2) / (longest - 2)) * (longest / long)
    return rho > 5, jnp.sqrt(square)


def _average_length(beta2, step, rho_inf):
    """Return rho_t: how many gradients the second moment is an average of.

    Early on rho_inf and what is subtracted from it are huge and nearly equal. With L = -log(beta2)
    and f(x) = coth(x) - 1/x, rho_t is also t - (t f(t L / 2) - f(L / 2)), which is close to t.
    """
    dtype = rho_inf.dtype
    t, log_beta = step.astype(dtype), log_of(beta2, dtype)
    late = rho_inf - 2 * t * jnp.exp(t * log_beta) / bias_correction(beta2, step, dtype)
    half, first = (jnp.minimum(-0.5 * count * log_beta, 1) for count in (t, 1.0))
    early = t - (t * _coth_less_pole(half) - _coth_less_pole(first))
    return jnp.where(half < 1, early, late)


def _coth_less_pole(x):
    """Return coth(x) - 1/x for x in (0, 1] by its continued fraction, to double precision."""
    tail = 0.0
    for odd in range(17, 3, -2):
        tail = x * x / (odd + tail)
    return x / (3 + tail)


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, is_rectified, rectification,
    maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one array and its new moments."""
    dtype = grad.dtype
    lr, eps, weight_decay = in_dtype(dtype, lr, eps, weight_decay)
    (rectification,) = in_dtype(dtype, rectification)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    scale = rectification * jnp.sqrt(bias_correction(beta2, step, dtype))
    adaptive = jnp.where(is_rectified, scale / (jnp.sqrt(exp_avg_sq) + eps), 1)
    update = -(lr / bias_correction(beta1, step, dtype)) * (exp_avg * adaptive)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq
