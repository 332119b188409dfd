"""MultiplicativeLR."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_lr, known_total_steps
from jaxaccel.schedules._schedule import Curve, Scheduler, Start, make_schedule, multiplied_by
from jaxaccel.schedules._table import length_for, read_table, traced_length
from jaxaccel.schedules._user_function import call_at, check_function


@shows_call
@checked_after
def multiplicative_lr(
    lr: Scalar, lr_lambda: Callable[[int], Any], *, total_steps: Count | None = None
) -> Schedule:
    r"""Multiply the learning rate, at every step, by a function of the step.

    .. math::
        \eta_k = \eta \prod_{i=1}^{k} f(i)

    The product has no closed form. A known step multiplies up to itself, in double precision; a
    traced one reads a table of the first ``total_steps`` values, a long one as polynomials of its
    pieces (see :func:`chained_scheduler`).

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        lr_lambda: The factor :math:`f`, a function of the step, which it gets as a Python int:
            it is never traced.
        total_steps: The length of the table for traced steps, a whole number of at least 0; beyond
            it they hold the last value. ``None``: a traced step is an error.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or ``total_steps`` is out of its range, or a traced step met no
            ``total_steps``.
        TypeError: ``lr`` is not a number or ``lr_lambda`` is not a function.

    PyTorch:
        ``torch.optim.lr_scheduler.MultiplicativeLR``, equal at every step; behind the milestone of
        a sequence it goes on from the learning rate that it finds, times :math:`f(0)`, as there.
        ``total_steps`` is new. Left out: ``last_epoch``, and lists (one schedule a group).

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.multiplicative_lr(1.0, lambda k: 0.5 if k % 2 else 1.0)
        >>> [schedule(k) for k in range(5)]
        [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    lr = given_lr(lr)
    check_function("lr_lambda", lr_lambda)
    total_steps = known_total_steps(total_steps)

    @functools.lru_cache(maxsize=2)
    def later_factors(length: int) -> np.ndarray:
        return call_at("lr_lambda", lr_lambda, np.arange(1, length))

    def table(xp: Any, k: Any, first: float) -> np.ndarray:
        known = not isinstance(k, jax.Array)
        length = length_for(k) if known else traced_length("multiplicative_lr", total_steps)
        return np.concatenate([[first], later_factors(length)])

    def ratio(xp: Any, k: Any) -> Any:
        at_zero = not isinstance(k, jax.Array) and (k == 0).any()
        return read_table(xp, table(xp, k, float(lr_lambda(0)) if at_zero else 1.0), k)

    def values(start: Start) -> Curve:
        # A constructor does not multiply at its step 0; a milestone does.
        first = float(lr_lambda(0)) if start.entry == "milestone" else 1.0
        return lambda xp, k: start.lr * read_table(xp, np.cumprod(table(xp, k, first)), k)

    return make_schedule(
        Scheduler(
            lr, values, multiplied_by(ratio), "factor", goes_on=True, is_traced=any_traced(lr)
        )
    )
