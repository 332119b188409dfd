"""PolynomialLR."""

from __future__ import annotations

import math
from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._ending import ending
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, is_known, known_count
from jaxaccel.schedules._schedule import Curve, factor_schedule


@shows_call
@checked_after
def polynomial_lr(lr: Scalar, total_iters: Count = 5, power: Scalar = 1.0) -> Schedule:
    r"""Lower the learning rate to 0 on a power of the steps that are left, and hold it there.

    .. math::
        \eta_k = \eta \left(1 - \frac{\min(k, T)}{T}\right)^p

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        total_iters: The number of steps :math:`T` to 0, a whole number of at least 0. With 0 the
            learning rate stays.
        power: The power :math:`p`: 1 is a straight line.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or ``total_iters`` is out of its range.
        TypeError: An argument is not a number.
        ZeroDivisionError: The schedule raises it for a known step from ``total_iters`` on when
            ``power`` is negative, as PyTorch does; a traced step holds the value before.

    PyTorch:
        ``torch.optim.lr_scheduler.PolynomialLR``, equal at every step and past the end. Left out:
        ``last_epoch``, and a ``total_iters`` that is negative or not whole, which PyTorch does not
        refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.polynomial_lr(0.8, total_iters=4, power=2.0)
        >>> [round(schedule(k), 4) for k in range(6)]
        [0.8, 0.45, 0.2, 0.05, 0.0, 0.0]
    """
    lr = given_lr(lr)
    total_iters = known_count("total_iters", total_iters, least=0)
    power = given_number("power", power)
    falls = is_known(power) and power < 0.0
    last_step = total_iters - 1 if falls and total_iters else math.inf

    def end(curve: Curve) -> Curve:
        return ending(
            curve,
            last_step,
            lambda k: ZeroDivisionError(
                f"polynomial_lr with power={power} cannot go on at step {k}: PyTorch divides by "
                f"zero at total_iters={total_iters}"
            ),
        )

    def factor(xp: Any, k: Any) -> Any:
        left = xp.maximum(total_iters - k, 0).astype(float)
        return (left / total_iters) ** power if total_iters else xp.ones(k.shape)

    def ratio(xp: Any, k: Any) -> Any:
        left = xp.maximum(total_iters - k, 0)
        step = (left.astype(float) / (left + 1).astype(float)) ** power
        return xp.where(k > total_iters, 1.0, step)

    no_restart = "" if total_iters else "polynomial_lr with total_iters=0: PyTorch divides by zero"
    facts = {"last_step": last_step, "no_restart": no_restart, "is_traced": any_traced(lr, power)}
    return factor_schedule(lr, end(factor), end(ratio), **facts)
