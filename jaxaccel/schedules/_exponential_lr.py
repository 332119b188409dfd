"""ExponentialLR."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number
from jaxaccel.schedules._power import power
from jaxaccel.schedules._schedule import factor_schedule


@shows_call
@checked_after
def exponential_lr(lr: Scalar, gamma: Scalar) -> Schedule:
    r"""Multiply the learning rate by ``gamma`` at every step.

    .. math::
        \eta_k = \eta\, \gamma^k

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        gamma: The factor :math:`\gamma`.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` is negative.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.ExponentialLR``, equal at every step. Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.exponential_lr(0.8, gamma=0.5)
        >>> [round(schedule(k), 4) for k in range(4)]
        [0.8, 0.4, 0.2, 0.1]
    """
    lr = given_lr(lr)
    gamma = given_number("gamma", gamma)

    def factor(xp: Any, k: Any) -> Any:
        return power(xp, gamma, k)

    def ratio(xp: Any, k: Any) -> Any:
        return xp.full(k.shape, gamma)

    return factor_schedule(lr, factor, ratio, is_traced=any_traced(lr, gamma))
