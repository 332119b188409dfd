"""CosineAnnealingWarmRestarts."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, is_known, plain
from jaxaccel.schedules._schedule import Curve, Start, absolute_schedule
from jaxaccel.schedules._table import count_up_to, reachable, read_table


@shows_call
@checked_after
def cosine_annealing_warm_restarts(
    lr: Scalar, T_0: Count, T_mult: Count = 1, eta_min: Scalar = 0.0
) -> Schedule:
    r"""Lower the learning rate on a cosine, again and again, in cycles that may grow.

    .. math::
        \eta_k = \eta_{\min} + \tfrac{1}{2} (\eta - \eta_{\min})
            \left(1 + \cos\frac{\pi T_{\text{cur}}}{T_i}\right)

    :math:`T_{\text{cur}}` steps after the start of a cycle of :math:`T_i = T_0 T_{\text{mult}}^i`.

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        T_0: The length of the first cycle, an int above 0.
        T_mult: How many times longer each cycle is than the one before, an int of at least 1.
        eta_min: The learning rate :math:`\eta_{\min}` at the end of a cycle.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float. The step may
        be a fraction (``epoch + batch / batches``), given as a float.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: ``lr`` is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``, equal at every step and restart.
        A fraction is its ``step(epoch + batch / batches)``, which takes a logarithm and misses
        some restarts (with ``T_0=1, T_mult=3`` at 364); a restart is found in integers
        here. Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cosine_annealing_warm_restarts(0.1, T_0=2, T_mult=2)
        >>> [round(schedule(k), 4) for k in (0, 1, 2, 3, 4, 5, 6, 6.5)]
        [0.1, 0.05, 0.1, 0.0854, 0.05, 0.0146, 0.1, 0.099]

    References:
        Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. 2017.
        https://arxiv.org/abs/1608.03983
    """
    lr = given_lr(lr)
    T_0, T_mult, eta_min = plain(T_0), plain(T_mult), plain(eta_min)
    if not isinstance(T_0, int) or T_0 <= 0:
        raise ValueError(f"Expected positive integer T_0, but got {T_0}")
    if not isinstance(T_mult, int) or T_mult < 1:
        raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
    if is_known(eta_min) and not isinstance(eta_min, (float, int)):
        raise ValueError(
            f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
        )
    eta_min = given_number("eta_min", eta_min)
    starts = _starts(T_0, T_mult)
    lengths = np.array([float(T_0) * float(T_mult) ** i for i in range(len(starts))])

    def values(start: Start) -> Curve:
        def curve(xp: Any, k: Any) -> Any:
            whole, part = _split(xp, k)
            if T_mult == 1:
                position, length = whole % T_0, float(T_0)
            else:
                cycle = count_up_to(xp, starts, whole) - 1
                position = whole - reachable(xp, starts, whole)[cycle]
                length = read_table(xp, lengths, cycle)
            done = position.astype(float) + part
            left = length - done
            return anneal(xp, "cos", start.base_lr, eta_min, done / length, left / length)

        return curve

    return absolute_schedule(values, lr, fractional=True, is_traced=any_traced(lr, eta_min))


def _starts(first_length: int, growth: int) -> np.ndarray:
    """Return the steps at which the cycles start, all that fit into an int64."""
    starts, length = [0], first_length
    while growth > 1 and starts[-1] + length < 2**62:
        starts.append(starts[-1] + length)
        length *= growth
    return np.array(starts, np.int64)


def _split(xp: Any, k: Any) -> tuple[Any, Any]:
    """Return the whole part of a step, as integers, and the rest of it."""
    if xp.issubdtype(k.dtype, xp.integer):
        return k, 0.0
    whole = xp.floor(k)
    return whole.astype(int), k - whole
