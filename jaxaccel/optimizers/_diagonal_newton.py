"""Newton's method with the Hessian's diagonal: every parameter has a step of its own curvature."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_packed import check_not_packed
from jaxaccel._check_trees import check_in_use, check_parameters, check_update
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_lr, check_non_negative, known_value
from jaxaccel._counts import next_counts, schedule_step
from jaxaccel._math import bias_correction, ema, in_dtype, is_zero, values_at
from jaxaccel._tree import initial_step, short_repr, takes_shapes, update_leaves, zeros_like
from jaxaccel._types import BufferDecay, Hyperparameter, Params, State, Updates


class DiagonalNewtonState(NamedTuple):
    """State of :func:`diagonal_newton`."""

    step: jax.Array
    """int32 scalar: finished updates."""
    hessian_diagonal: Params | None
    """Moving average of the diagonal, like the parameters; ``None`` when ``beta`` is 0."""

    own_counts = ("step",)
    __repr__ = short_repr


@shows_call
@checked_after
def diagonal_newton(
    lr: Hyperparameter = 1.0,
    damping: Hyperparameter = 1e-4,
    beta: BufferDecay = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Diagonal Newton: the gradient divided by the curvature, parameter by parameter.

    .. math::
        h_t &= \beta h_{t-1} + (1 - \beta)\operatorname{diag}(H_t) \\
        \theta_t &= \theta_{t-1} - \gamma\,\frac{g_t}{|h_t| / (1 - \beta^t) + \delta}

    Gradient descent on a quadratic needs steps in proportion to its condition number; where the
    Hessian is diagonal this needs one. The absolute value makes every step a descent: where the
    curvature is negative Newton's own step climbs towards the maximum or saddle. The average is
    taken before it, so that the noise of an estimated diagonal cancels instead of adding up.

    Args:
        lr: Learning rate, at least 0; 1 is Newton's step. Like every numeric argument here a
            number, a JAX scalar or a schedule ``step -> value``, read as :obj:`Hyperparameter`
            says.
        damping: Added to the curvature, at least 0: no step is longer than ``lr / damping`` times
            the gradient. 0 is Newton's own step, which divides by zero where there is no curvature.
        beta: Decay factor of the moving average of the diagonal, in [0, 1). 0 takes each step's
            diagonal as it is; 0.9 or more suits an estimate from few samples or small batches.

    Returns:
        A transformation whose ``update(updates, state, params, hessian_diagonal=...)`` takes the
        diagonal of this step, like the parameters (:func:`hessian_diagonal` computes it), and
        returns additive updates in the gradients' dtypes and a :class:`DiagonalNewtonState` in the
        parameters' shapes, dtypes and shardings. Half-precision leaves are computed in float32 and
        rounded once.

    Raises:
        ValueError: ``lr`` or ``damping`` is negative, ``beta`` is outside [0, 1), or ``update`` is
            called without a diagonal.
        TypeError: A numeric argument is not a number, a JAX scalar or a schedule.

    PyTorch:
        No counterpart. A leaf whose gradient is ``None`` stays as it is; thawed later, it needs
        :func:`count_per_parameter`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss(w):
        ...     return jnp.sum(jnp.array([1.0, 1e6]) * w**2)
        >>> tx = ja.optimizers.diagonal_newton(damping=0.0)
        >>> w = jnp.array([3.0, -2.0])
        >>> diagonal = ja.optimizers.hessian_diagonal(loss, w, jax.random.key(0))
        >>> updates, _ = tx.update(jax.grad(loss)(w), tx.init(w), w, hessian_diagonal=diagonal)
        >>> print(w + updates)
        [0. 0.]

    References:
        Dauphin et al. Identifying and attacking the saddle point problem in high-dimensional
        non-convex optimization. 2014. https://arxiv.org/abs/1406.2572

        Yao et al. ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning. 2021.
        https://arxiv.org/abs/2006.00719
    """
    check_lr(lr)
    check_non_negative("damping", damping, "Invalid damping value")
    known_beta = known_value("beta", beta)
    if known_beta is not None and not 0.0 <= known_beta < 1.0:
        raise ValueError(f"Invalid beta value: {beta}")

    @takes_shapes
    def init(params: Params) -> State:
        check_not_packed("diagonal_newton", params)
        check_parameters(params)
        return DiagonalNewtonState(
            step=initial_step(params),
            hessian_diagonal=None if is_zero(beta) else zeros_like(params),
        )

    def update(
        updates: Updates,
        state: State,
        params: Params | None = None,
        *,
        hessian_diagonal: Params | None = None,
        **extra: object,
    ) -> tuple[Updates, State]:
        check_update("diagonal_newton", DiagonalNewtonState, updates, state, params)
        check_in_use("diagonal_newton", state, hessian_diagonal=not is_zero(beta))
        if hessian_diagonal is None:
            raise ValueError(
                "diagonal_newton needs the curvature: update(updates, state, params, "
                "hessian_diagonal=...), for example from jaxaccel.optimizers.hessian_diagonal"
            )
        step = next_counts(state.step, updates)
        at = schedule_step(extra, state.step)
        now = values_at(at, lr=lr, damping=damping, beta=beta)
        update_leaf = functools.partial(_update_leaf, **now)
        slots = (hessian_diagonal, state.hessian_diagonal)
        updates, _, average = update_leaves(update_leaf, updates, params, slots, step=step)
        return updates, DiagonalNewtonState(step, average)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(param, grad, hessian_diagonal, average, step, *, lr, damping, beta):
    """Return the update of one array, its diagonal and the new average."""
    del param
    lr, damping = in_dtype(grad.dtype, lr, damping)
    curvature = hessian_diagonal
    if average is not None:
        average = ema(average, hessian_diagonal, beta)
        curvature = average / bias_correction(beta, step, grad.dtype)
    return -lr * grad / (jnp.abs(curvature) + damping), hessian_diagonal, average
