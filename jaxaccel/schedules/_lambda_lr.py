"""LambdaLR."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import given_lr, known_total_steps
from jaxaccel.schedules._schedule import multiple_of_base
from jaxaccel.schedules._table import read_table
from jaxaccel.schedules._user_function import call_at, check_function


@shows_call
@checked_after
def lambda_lr(
    lr: Scalar, lr_lambda: Callable[[Any], Any], *, total_steps: Count | None = None
) -> Schedule:
    r"""Multiply the learning rate by a function of the step.

    .. math::
        \eta_k = \eta\, f(k)

    A function that needs Python (an ``if``, ``math.cos``, a list) drives a compiled step by a
    table: with ``total_steps`` it is asked for each step beforehand, with a Python int, as PyTorch
    asks it. A function that returns the learning rate itself goes with an ``lr`` of 1.

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        lr_lambda: The factor :math:`f`, a function of the step. Known steps reach it as Python
            ints, one at a time. Without ``total_steps`` it gets traced scalars inside ``jit``, and
            must be written with ``jax.numpy`` and without Python's ``if``.
        total_steps: The length of a table for traced steps, a whole number of at least 0: of the
            values from step 0 to this one, the last of which is held. A function that has none for
            the last (a list of as many values as there are steps) holds the one before. A table of
            more than 64 kB becomes polynomials of its pieces (see :func:`chained_scheduler`).

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or ``total_steps`` is out of its range.
        TypeError: ``lr`` is not a number, ``lr_lambda`` is not a function, or a traced step met a
            function that cannot be traced.

    PyTorch:
        ``torch.optim.lr_scheduler.LambdaLR``, equal at every step. ``total_steps`` is new. Left
        out: ``last_epoch``, and lists of functions (one schedule a group).

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.lambda_lr(0.1, lambda k: 0.5 ** (k // 2))
        >>> [schedule(k) for k in range(5)]
        [0.1, 0.1, 0.05, 0.05, 0.025]
        >>> rates = [0.1, 0.2, 0.4]
        >>> schedule = ja.schedules.lambda_lr(1.0, lambda k: rates[k], total_steps=3)
        >>> print(jax.jit(schedule)(2))
        0.4
    """
    lr = given_lr(lr)
    check_function("lr_lambda", lr_lambda)
    total_steps = known_total_steps(total_steps)
    if total_steps is None:
        return multiple_of_base(lr, lambda xp, k: call_at("lr_lambda", lr_lambda, k))
    table = functools.cache(functools.partial(_tabulated, lr_lambda, total_steps))

    def factor(xp: Any, k: Any) -> Any:
        if isinstance(k, jax.Array):
            return read_table(xp, table(), k)
        return call_at("lr_lambda", lr_lambda, k)

    return multiple_of_base(lr, factor)


def _tabulated(lr_lambda: Callable[[int], Any], total_steps: int) -> np.ndarray:
    """Return a function's values from 0 to ``total_steps``, if it has one there."""
    values = call_at("lr_lambda", lr_lambda, np.arange(max(total_steps, 1)))
    try:
        last = call_at("lr_lambda", lr_lambda, np.array([total_steps]))
    except LookupError:
        return values
    return np.concatenate([values[:total_steps], last])
