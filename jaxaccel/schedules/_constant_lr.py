"""ConstantLR."""

from __future__ import annotations

import math
from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._math import is_zero
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._ending import ending
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, is_known, known_count
from jaxaccel.schedules._schedule import Curve, Scheduler, Start, make_schedule, multiplied_by


@shows_call
@checked_after
def constant_lr(lr: Scalar, factor: Scalar = 1.0 / 3, total_iters: Count = 5) -> Schedule:
    r"""Hold a share of the learning rate for some steps, then the whole.

    .. math::
        \eta_k = \eta\, c \text{ for } k < T, \qquad \eta_k = \eta \text{ from } T \text{ on}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        factor: The share :math:`c`, in [0, 1].
        total_iters: The number of steps :math:`T`, a whole number of at least 0.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr``, ``factor`` or ``total_iters`` is out of its range.
        TypeError: An argument is not a number.
        ZeroDivisionError: The schedule raises it for a known step from ``total_iters`` on when
            ``factor`` is 0, as PyTorch does; a traced step stays at 0.

    PyTorch:
        ``torch.optim.lr_scheduler.ConstantLR``, equal at every step. With ``total_iters=0`` the
        factor is never taken back, as there (behind the milestone of a sequence it is never
        applied). Left out: ``last_epoch``, and a ``total_iters`` that is negative or not whole,
        which PyTorch does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.constant_lr(0.5, factor=0.5, total_iters=2)
        >>> [schedule(k) for k in range(4)]
        [0.25, 0.25, 0.5, 0.5]
    """
    lr = given_lr(lr)
    factor = given_number("factor", factor)
    if is_known(factor) and not 0.0 <= factor <= 1.0:
        raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
    total_iters = known_count("total_iters", total_iters, least=0)
    last_step = total_iters - 1 if is_zero(factor) and total_iters else math.inf

    def end(curve: Curve) -> Curve:
        return ending(
            curve,
            last_step,
            lambda k: ZeroDivisionError(
                f"constant_lr with factor=0 cannot go on at step {k}: PyTorch divides by it at "
                f"total_iters={total_iters}"
            ),
        )

    def ratio(xp: Any, k: Any) -> Any:
        back = 1.0 if is_zero(factor) else 1.0 / factor
        later = xp.where(k == total_iters, back, 1.0)
        return xp.where(k == 0, factor, later)

    def values(start: Start) -> Curve:
        # _update_lr(0) takes the closed form, in which no steps have no factor.
        held = total_iters > 0 or start.entry != "milestone"
        first = factor if held else 1.0
        last = 1.0 if total_iters else first
        return end(lambda xp, k: start.origin * xp.where(k < total_iters, first, last))

    facts = {"last_step": last_step, "is_traced": any_traced(lr, factor)}
    return make_schedule(Scheduler(lr, values, multiplied_by(end(ratio)), "factor", **facts))
