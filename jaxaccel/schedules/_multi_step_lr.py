"""MultiStepLR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, known_count
from jaxaccel.schedules._power import power
from jaxaccel.schedules._schedule import factor_schedule
from jaxaccel.schedules._table import count_up_to


@shows_call
@checked_after
def multi_step_lr(lr: Scalar, milestones: Iterable[Count], gamma: Scalar = 0.1) -> Schedule:
    r"""Multiply the learning rate by ``gamma`` at every milestone.

    .. math::
        \eta_k = \eta\, \gamma^{|\{m \le k\}|}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        milestones: The steps :math:`m`, whole numbers of at least 0, in any order. A repeated one
            multiplies as often as it is named.
        gamma: The factor :math:`\gamma`.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or a milestone is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.MultiStepLR``, equal at every step. Left out: ``last_epoch``,
        and milestones that are negative or not whole, which PyTorch never reaches.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.multi_step_lr(0.5, milestones=[1, 3, 3], gamma=0.5)
        >>> [round(schedule(k), 4) for k in range(5)]
        [0.5, 0.25, 0.25, 0.0625, 0.0625]
    """
    lr = given_lr(lr)
    steps = np.array(sorted(known_count("a milestone", step, least=0) for step in milestones), int)
    gamma = given_number("gamma", gamma)

    def factor(xp: Any, k: Any) -> Any:
        return power(xp, gamma, count_up_to(xp, steps, k))

    def ratio(xp: Any, k: Any) -> Any:
        return power(xp, gamma, count_up_to(xp, steps, k) - count_up_to(xp, steps, k - 1))

    return factor_schedule(lr, factor, ratio, is_traced=any_traced(lr, gamma))
