"""RMSprop: a step along the gradient, divided by its running root mean square."""

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
    check_eps,
    check_lr,
    check_non_negative,
    check_params_for_decay,
    check_weight_decay,
)
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import ema, ema_of_square, in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import BufferDecay, DecayFactor, Hyperparameter, Params, State, Updates
from jaxaccel.optimizers._torch_fields import TorchFields


class RMSpropState(NamedTuple):
    """State of :func:`rmsprop`, under PyTorch's keys."""

    step: jax.Array
    """int32 scalar: finished updates."""
    square_avg: Params
    """Running mean of squared gradients, like the parameters (complex: parts apart)."""
    momentum_buffer: Params | None
    """Running sum of scaled gradients, like the parameters; ``None`` when ``momentum`` is the
    number 0."""
    grad_avg: Params | None
    """Running mean of gradients, like the parameters; ``None`` unless ``centered``."""

    torch_fields = TorchFields(
        ("square_avg", "momentum_buffer", "grad_avg"),
        shared=("step",),
        switches=("capturable", "foreach", "differentiable"),
    )
    own_counts = ("step",)
    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def rmsprop(
    lr: Hyperparameter = 1e-2,
    alpha: DecayFactor = 0.99,
    eps: Hyperparameter = 1e-8,
    weight_decay: Hyperparameter = 0,
    momentum: BufferDecay = 0,
    centered: bool = False,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop, with PyTorch's momentum, its centring and its epsilon outside the root.

    .. math::
        g_t &\leftarrow g_t + \lambda\,\theta_{t-1} \\
        v_t &= \alpha\,v_{t-1} + (1 - \alpha)\,g_t^2, \qquad
        m_t = \alpha\,m_{t-1} + (1 - \alpha)\,g_t \\
        b_t &= \mu\,b_{t-1} + \frac{g_t}{\sqrt{v_t} + \epsilon}
        \qquad (\text{centered: } \sqrt{v_t - m_t^2} + \epsilon) \\
        \theta_t &= \theta_{t-1} - \gamma\,b_t

    Args:
        lr: Learning rate, at least 0. Like every numeric argument here a number, a JAX scalar or a
            schedule ``step -> value``, read as :obj:`Hyperparameter` says.
        alpha: Decay factor of the running means, at least 0.
        eps: Added to the root, at least 0.
        weight_decay: Weight decay (L2), at least 0, added to the gradient.
        momentum: Factor :math:`\mu` of the buffer, at least 0.
        centered: Divide by the gradient's running standard deviation. Where a gradient hardly
            changes, :math:`v_t - m_t^2` is rounding error, and NaN where that is negative.
        maximize: Climb instead of descend: the gradient's sign is flipped first.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates in the
        parameters' dtypes and an :class:`RMSpropState` in the parameters' shapes, dtypes and
        shardings. Half-precision leaves are computed in float32 and rounded once.

    Raises:
        ValueError: ``lr``, ``eps``, ``momentum``, ``weight_decay`` or ``alpha`` is negative; or
            ``update`` is called without parameters while ``weight_decay`` is in use.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim.RMSprop``: same arguments, defaults, state keys, errors and numbers. The
        learning rate stays outside the momentum buffer (``optax.rmsprop`` has it inside, so that a
        schedule acts late), and epsilon outside the root. Left out: ``foreach``, ``capturable`` and
        ``differentiable``, which say how and not what. A momentum that a schedule takes through
        exactly 0 still passes the gradient through the buffer. ``step`` is one int32 for the whole
        tree. A leaf whose gradient is ``None`` stays as it is; a ``step`` of its own, which
        decides nothing, it has inside :func:`count_per_parameter`.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.rmsprop(lr=0.1, momentum=0.9)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates.round(3))
        [-1.  1.]

    References:
        Tieleman, Hinton. Lecture 6.5: RMSprop. Neural Networks for Machine Learning. 2012.

        Graves. Generating Sequences With Recurrent Neural Networks. 2013 (the centred form).
        https://arxiv.org/abs/1308.0850
    """
    check_lr(lr)
    check_eps(eps)
    check_non_negative("momentum", momentum, "Invalid momentum value")
    check_weight_decay(weight_decay)
    check_non_negative("alpha", alpha, "Invalid alpha value")

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return RMSpropState(
            step=initial_step(params),
            square_avg=zeros_like(params),
            momentum_buffer=None if is_zero(momentum) else zeros_like(params),
            grad_avg=zeros_like(params) if centered else None,
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_update("rmsprop", RMSpropState, updates, state, params)
        check_in_use("rmsprop", state, momentum_buffer=not is_zero(momentum), grad_avg=centered)
        check_params_for_decay(weight_decay, params)
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(
            at, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum
        )
        update_leaf = functools.partial(_update_leaf, maximize=maximize, **now)
        updates, *averages = update_leaves(update_leaf, updates, params, state[1:])
        return updates, RMSpropState(step, *averages)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(
    param, grad, square_avg, momentum_buffer, grad_avg, *,
    lr, alpha, eps, weight_decay, momentum, maximize,
):  # fmt: skip
    """Return the update of one array and its new running means."""
    lr, eps, weight_decay, momentum = in_dtype(grad.dtype, lr, eps, weight_decay, momentum)
    grad = -grad if maximize else grad
    if not is_zero(weight_decay):
        grad = grad + weight_decay * param

    square_avg = variance = ema_of_square(square_avg, grad, alpha)
    if grad_avg is not None:
        grad_avg = ema(grad_avg, grad, alpha)
        variance = square_avg - grad_avg * grad_avg
    direction = grad / (jnp.sqrt(variance) + eps)
    if momentum_buffer is not None:
        direction = momentum_buffer = momentum * momentum_buffer + direction
    return -lr * direction, square_avg, momentum_buffer, grad_avg
