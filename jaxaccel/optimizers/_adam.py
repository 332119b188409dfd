"""Adam: a step along the gradient's first moment, divided by the root of its second."""

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
    check_betas,
    check_eps,
    check_lr,
    check_params_for_decay,
    check_weight_decay,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import bias_correction, ema, ema_of_square, in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class AdamState(NamedTuple):
    """State of :func:`adam` and :func:`adamw`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    exp_avg: Params
    """First moment, like the parameters."""
    exp_avg_sq: Params
    """Second moment, like the parameters (complex: of the real and imaginary part apart)."""
    max_exp_avg_sq: Params | None
    """Largest second moment so far, like the parameters; ``None`` without ``amsgrad``."""

    torch_fields = TorchFields(
        ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"),
        shared=("step",),
        switches=("foreach", "capturable", "differentiable", "fused"),
        group_has=("amsgrad",),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def adam(
    lr: Hyperparameter = 1e-3,
    betas: tuple[DecayFactor, DecayFactor] = (0.9, 0.999),
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam, with PyTorch's coupled weight decay, AMSGrad and rounding.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t, \qquad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \theta_t &= \theta_{t-1} - \gamma\,\frac{m_t / (1 - \beta_1^t)}
        {\sqrt{v_t} / \sqrt{1 - \beta_2^t} + \epsilon}

    With ``amsgrad`` the root is taken of :math:`\max(v_1, \dots, v_t)`; with
    ``decoupled_weight_decay`` the decay leaves the gradient alone and is
    :math:`-\gamma \lambda\,\theta_{t-1}` (AdamW).

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        betas: Decay factors of the two moments, each in [0, 1).
        eps: Added to the root of the corrected second moment, at least 0.
        weight_decay: Weight decay, at least 0; added to the gradient (L2) unless decoupled.
        amsgrad: Divide by the largest second moment so far.
        maximize: Climb instead of descend: the gradient's sign is flipped first.
        decoupled_weight_decay: Shrink the parameters directly, as :func:`adamw` does.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdamState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps`` or ``weight_decay`` is negative, or a beta is outside [0, 1);
            or ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.Adam``: same arguments, defaults, state keys, errors and numbers. AMSGrad
        takes the maximum before the bias correction (``optax.amsgrad`` after). Left out:
        ``foreach``, ``fused``, ``capturable`` and ``differentiable``, which say how and not what.
        ``step`` is one int32 for the whole tree, where PyTorch keeps a float32 per parameter. A
        leaf whose gradient is ``None`` stays as it is; thawed later, it needs
        :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adam(lr=0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.1  0.1]

    References:
        Kingma, Ba. Adam: A Method for Stochastic Optimization. 2015.
        https://arxiv.org/abs/1412.6980

        Reddi, Kale, Kumar. On the Convergence of Adam and Beyond. 2018.
        https://arxiv.org/abs/1904.09237
    """
    check_lr(lr)
    check_eps(eps)
    check_betas(betas)
    check_weight_decay(weight_decay)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return AdamState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
            max_exp_avg_sq=zeros_like(params) if amsgrad else None,
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("adam", AdamState, updates, state, params)
        check_in_use("adam", state, max_exp_avg_sq=amsgrad)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay
        )
        update_leaf = functools.partial(
            _update_leaf,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
            **now,
        )
        updates, *moments = update_leaves(update_leaf, updates, params, state[1:], step=step)
        return updates, AdamState(step, *moments)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, max_exp_avg_sq, step, *,
    lr, beta1, beta2, eps, weight_decay, maximize, decoupled_weight_decay,
):  # fmt: skip
    """Return the update of one array and its new moments."""
    dtype = grad.dtype
    lr, eps, weight_decay = in_dtype(dtype, lr, eps, weight_decay)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay) and not decoupled_weight_decay:
        grad = grad + weight_decay * param

    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema_of_square(exp_avg_sq, grad, beta2)
    if max_exp_avg_sq is None:
        largest = exp_avg_sq
    else:
        largest = max_exp_avg_sq = jnp.maximum(max_exp_avg_sq, exp_avg_sq)

    denom = jnp.sqrt(largest) / jnp.sqrt(bias_correction(beta2, step, dtype)) + eps
    update = -(lr / bias_correction(beta1, step, dtype)) * (exp_avg / denom)
    if not is_zero(weight_decay) and decoupled_weight_decay:
        update = update - lr * weight_decay * param
    return update, exp_avg, exp_avg_sq, max_exp_avg_sq
