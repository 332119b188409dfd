"""LinearLR."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, is_known, known_count
from jaxaccel.schedules._schedule import factor_schedule


@shows_call
@checked_after
def linear_lr(
    lr: Scalar,
    start_factor: Scalar = 1.0 / 3,
    end_factor: Scalar = 1.0,
    total_iters: Count = 5,
) -> Schedule:
    r"""Move the learning rate on a straight line between two factors of itself, then hold it.

    With the defaults this is a warm-up: from a third of ``lr`` to ``lr`` in five steps.

    .. math::
        \eta_k = \eta \left(s + (e - s) \frac{\min(k, T)}{T}\right)

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        start_factor: The factor :math:`s` at step 0, in (0, 1].
        end_factor: The factor :math:`e` from step ``total_iters`` on, in [0, 1].
        total_iters: The number of steps :math:`T` between the two, a whole number of at least 0.
            With 0 the factor stays ``start_factor``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: A factor, ``lr`` or ``total_iters`` is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.LinearLR``, equal at every step and past the end. ``lr``
        stands for the optimizer's. Left out: ``last_epoch`` (start the schedule at a later
        step instead) and a ``total_iters`` that is negative or not whole, which PyTorch does
        not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.linear_lr(0.3, start_factor=0.5, total_iters=4)
        >>> [round(schedule(k), 4) for k in range(6)]
        [0.15, 0.1875, 0.225, 0.2625, 0.3, 0.3]
    """
    lr = given_lr(lr)
    start_factor = given_number("start_factor", start_factor)
    end_factor = given_number("end_factor", end_factor)
    if is_known(start_factor) and not 0.0 < start_factor <= 1.0:
        raise ValueError(
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1."
        )
    if is_known(end_factor) and not 0.0 <= end_factor <= 1.0:
        raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
    total_iters = known_count("total_iters", total_iters, least=0)
    length = max(total_iters, 1)

    def factor(xp: Any, k: Any) -> Any:
        k = xp.minimum(k, total_iters)
        done, left = k.astype(float) / length, (length - k).astype(float) / length
        return anneal(xp, "linear", start_factor, end_factor, done, left)

    def ratio(xp: Any, k: Any) -> Any:
        moves = (k >= 1) & (k <= total_iters)
        before = factor(xp, xp.clip(k - 1, 0, max(total_iters - 1, 0)))
        return xp.where(k == 0, start_factor, xp.where(moves, factor(xp, k) / before, 1.0))

    no_restart = "" if total_iters else "linear_lr with total_iters=0: PyTorch divides by zero"
    is_traced = any_traced(lr, start_factor, end_factor)
    return factor_schedule(lr, factor, ratio, no_restart=no_restart, is_traced=is_traced)
