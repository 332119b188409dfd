"""StepLR."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, known_count
from jaxaccel.schedules._power import power
from jaxaccel.schedules._schedule import factor_schedule


@shows_call
@checked_after
def step_lr(lr: Scalar, step_size: Count, gamma: Scalar = 0.1) -> Schedule:
    r"""Multiply the learning rate by ``gamma`` every ``step_size`` steps.

    .. math::
        \eta_k = \eta\, \gamma^{\lfloor k / s \rfloor}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        step_size: The number of steps :math:`s` between two reductions, a whole number of at
            least 1.
        gamma: The factor :math:`\gamma`.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or ``step_size`` is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.StepLR``, equal at every step. Left out: ``last_epoch``, and a
        ``step_size`` that is negative or not whole, which PyTorch does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.step_lr(0.5, step_size=2, gamma=0.5)
        >>> [round(schedule(k), 4) for k in range(5)]
        [0.5, 0.5, 0.25, 0.25, 0.125]
    """
    lr = given_lr(lr)
    step_size = known_count("step_size", step_size, least=1)
    gamma = given_number("gamma", gamma)

    def factor(xp: Any, k: Any) -> Any:
        return power(xp, gamma, k // step_size)

    def ratio(xp: Any, k: Any) -> Any:
        return xp.where((k > 0) & (k % step_size == 0), gamma, 1.0)

    return factor_schedule(lr, factor, ratio, is_traced=any_traced(lr, gamma))
