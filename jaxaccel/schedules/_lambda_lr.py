"""LambdaLR."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Scalar, Schedule
from jaxaccel.schedules._inputs import known_lr
from jaxaccel.schedules._schedule import multiple_of_base
from jaxaccel.schedules._user_function import call_at, check_function


@shows_call
@checked_after
def lambda_lr(lr: Scalar, lr_lambda: Callable[[Any], Any]) -> Schedule:
    r"""Multiply the learning rate by a function of the step.

    .. math::
        \eta_k = \eta\, f(k)

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        lr_lambda: The factor :math:`f`, a function of the step. Known steps reach it as Python
            ints, one at a time; inside ``jit`` it gets traced scalars, so there it must be
            written with ``jax.numpy`` and without Python's ``if``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` is negative.
        TypeError: ``lr`` is not a number, ``lr_lambda`` is not a function, or a traced step met a
            function that cannot be traced.

    PyTorch:
        ``torch.optim.lr_scheduler.LambdaLR``, equal at every step. Left out: ``last_epoch``, and
        lists (one schedule a group).

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.lambda_lr(0.1, lambda k: 0.5 ** (k // 2))
        >>> [schedule(k) for k in range(5)]
        [0.1, 0.1, 0.05, 0.05, 0.025]
    """
    lr = known_lr(lr)
    check_function("lr_lambda", lr_lambda)
    return multiple_of_base(lr, lambda xp, k: call_at("lr_lambda", lr_lambda, xp, k))
