"""Newton's method with the Hessian's diagonal: every parameter has a step of its own curvature."""

import functools
from typing import Any, NamedTuple

from torch_ref._checks import check_lr, check_non_negative, known_value
from torch_ref._math import bias_correction, ema, is_zero, value_at
from torch_ref._tree import initial_step, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class DiagonalNewtonState(NamedTuple):
    """State of :func:`diagonal_newton`."""

    step: int
    hessian_diagonal: Any


def diagonal_newton(lr=1.0, damping=1e-4, beta=0.0):
    """Diagonal Newton: the gradient divided by the curvature, parameter by parameter."""
    check_lr(lr)
    check_non_negative("damping", damping, "Invalid damping value")
    known_beta = known_value("beta", beta)
    if known_beta is not None and not 0.0 <= known_beta < 1.0:
        raise ValueError(f"Invalid beta value: {beta}")

    def init(params):
        return DiagonalNewtonState(
            step=initial_step(params),
            hessian_diagonal=None if is_zero(beta) else zeros_like(params),
        )

    def update(updates, state, params=None, *, hessian_diagonal=None):
        if hessian_diagonal is None:
            raise ValueError(
                "diagonal_newton needs the curvature: update(updates, state, params, "
                "hessian_diagonal=...), for example from torch_ref.optimizers.hessian_diagonal"
            )
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            damping=value_at(damping, state.step),
            beta=value_at(beta, state.step),
        )
        slots = (hessian_diagonal, state.hessian_diagonal)
        updates, _, average = update_leaves(update_leaf, updates, params, slots)
        return updates, DiagonalNewtonState(step, average)

    return GradientTransformation(init, update)


def _update_leaf(param, grad, hessian_diagonal, average, step, *, lr, damping, beta):
    """Return the update of one tensor, its diagonal and the new average."""
    del param
    curvature = hessian_diagonal
    if average is not None:
        average = ema(average, hessian_diagonal, beta)
        curvature = average / bias_correction(beta, step)
    return -lr * grad / (curvature.abs() + damping), hessian_diagonal, average
