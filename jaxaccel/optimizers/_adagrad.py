"""Adagrad: a step along the gradient, divided by the root of the sum of all its squares so far."""

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
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import in_dtype, is_zero, value_at, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves
from jaxaccel._types import Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class AdagradState(NamedTuple):
    """State of :func:`adagrad`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    sum: Params
    """Sum of squared gradients, like the parameters (complex: of real and imaginary part apart)."""

    torch_fields = TorchFields(
        ("sum",),
        shared=("step",),
        switches=("foreach", "differentiable", "fused"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def adagrad(
    lr: Hyperparameter = 1e-2,
    lr_decay: Hyperparameter = 0,
    weight_decay: Hyperparameter = 0,
    initial_accumulator_value: Hyperparameter = 0,
    eps: Hyperparameter = 1e-10,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adagrad, with PyTorch's learning rate decay and its epsilon outside the root.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        s_0 &= \tau, \qquad s_t = s_{t-1} + g_t^2 \\
        \theta_t &= \theta_{t-1} - \frac{\gamma}{1 + (t - 1)\,\eta}\,
        \frac{g_t}{\sqrt{s_t} + \epsilon}

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        lr_decay: :math:`\eta`, at least 0: how fast the learning rate falls with the step count.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        initial_accumulator_value: :math:`\tau`, at least 0: where the sum starts. A schedule is
            read once, at step 0.
        eps: Added to the root of the sum, at least 0.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`AdagradState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``lr_decay``, ``weight_decay``, ``initial_accumulator_value`` or
            ``eps`` is negative; or ``update`` is called without parameters while ``weight_decay``
            is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.Adagrad``: same arguments, defaults, state keys, errors and numbers
        (``optax.adagrad`` starts the sum at 0.1 and puts its 1e-7 inside the root). Left out:
        ``foreach``, ``fused`` and ``differentiable``, which say how and not what. ``step`` is one
        int32 for the whole tree, where PyTorch keeps a float32 per parameter. A leaf whose gradient
        is ``None`` stays as it is; thawed later, it needs :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adagrad(lr=0.1)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.1  0.1]

    References:
        Duchi, Hazan, Singer. Adaptive Subgradient Methods for Online Learning and Stochastic
        Optimization. 2011. https://jmlr.org/papers/v12/duchi11a.html
    """
    check_lr(lr)
    check_non_negative("lr_decay", lr_decay, "Invalid lr_decay value")
    check_weight_decay(weight_decay)
    check_non_negative(
        "initial_accumulator_value",
        initial_accumulator_value,
        "Invalid initial_accumulator_value value",
    )
    check_eps(eps)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        step = initial_step(params)
        start = value_at(initial_accumulator_value, step, "initial_accumulator_value")

        def initial_sum(param):
            part = jnp.real(param)
            part = jnp.full_like(part, start, dtype=jnp.result_type(part))
            return jax.lax.complex(part, part) if jnp.iscomplexobj(param) else part

        return AdagradState(step, jax.tree.map(initial_sum, params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("adagrad", AdagradState, updates, state, params)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lr=lr, lr_decay=lr_decay, weight_decay=weight_decay, eps=eps)
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        updates, sums = update_leaves(update_leaf, updates, params, state[1:], step=step)
        return updates, AdagradState(step, sums)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, sum, step, *,
    lr, lr_decay, weight_decay, eps, maximize,
):  # fmt: skip
    """Return the update of one array and its new sum of squares."""
    dtype = grad.dtype
    lr, lr_decay, weight_decay, eps = in_dtype(dtype, lr, lr_decay, weight_decay, eps)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    sum = sum + grad * grad
    if not is_zero(lr_decay):
        lr = lr / (1 + (step - 1).astype(dtype) * lr_decay)
    return -lr * (grad / (jnp.sqrt(sum) + eps)), sum
