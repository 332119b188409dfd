"""CosineAnnealingLR."""

from __future__ import annotations

import math
from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, known_count, same_number
from jaxaccel.schedules._schedule import Curve, Next, Scheduler, Start, make_schedule


@shows_call
@checked_after
def cosine_annealing_lr(lr: Scalar, T_max: Count, eta_min: Scalar = 0.0) -> Schedule:
    r"""Swing the learning rate between ``lr`` and ``eta_min`` on a cosine.

    It reaches ``eta_min`` at step ``T_max`` and does not stay there: at ``2 * T_max`` it is
    back at ``lr``, and so on. To hold the minimum, stop at ``T_max`` or put a constant behind
    it with ``sequential_lr``.

    .. math::
        \eta_k = \eta_{\min} + \tfrac{1}{2} (\eta - \eta_{\min})
            \left(1 + \cos\frac{\pi k}{T_{\max}}\right)

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        T_max: The number of steps from ``lr`` to ``eta_min``, a whole number of at least 1.
        eta_min: The learning rate :math:`\eta_{\min}` at step ``T_max``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: ``lr`` or ``T_max`` is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.CosineAnnealingLR``, equal at every step and past
        ``T_max``. PyTorch multiplies from step to step and drifts from the formula above (with an
        ``eta_min``, past a ``T_max`` of 100,000, by 1e-9 of the highest rate); this is the formula.
        ``lr`` stands for the optimizer's.
        Left out: ``last_epoch`` and a ``T_max`` that is negative or not whole, which PyTorch
        does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cosine_annealing_lr(0.1, T_max=4)
        >>> [round(schedule(k), 4) for k in range(6)]
        [0.1, 0.0854, 0.05, 0.0146, 0.0, 0.0146]

    References:
        Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. 2017.
        https://arxiv.org/abs/1608.03983
    """
    lr = given_lr(lr)
    T_max = known_count("T_max", T_max, least=1)
    eta_min = given_number("eta_min", eta_min)

    def values(start: Start) -> Curve:
        def curve(xp: Any, k: Any) -> Any:
            # The lr that PyTorch's recursion starts from lasts to the first minimum, where it is
            # multiplied by zero; every later swing rises to base_lr.
            same = same_number(start.origin, start.base_lr)
            peak = start.base_lr if same else xp.where(k <= T_max, start.origin, start.base_lr)
            phase = k % (2 * T_max)
            phase = xp.minimum(phase, 2 * T_max - phase)
            done, left = phase.astype(float) / T_max, (T_max - phase).astype(float) / T_max
            return anneal(xp, "cos", peak, eta_min, done, left)

        return curve

    def next_lr(start: Start) -> Next:
        def cosine(xp: Any, phase: Any) -> Any:
            return xp.cos(0.5 * math.pi * phase / T_max) ** 2

        def step(xp: Any, k: Any, lr: Any) -> Any:
            before = (k - 1) % (2 * T_max)
            rises = before == T_max
            rise = (start.base_lr - eta_min) * math.sin(0.5 * math.pi / T_max) ** 2
            ratio = cosine(xp, k % (2 * T_max)) / xp.where(rises, 1.0, cosine(xp, before))
            return xp.where(rises, lr + rise, eta_min + ratio * (lr - eta_min))

        return step

    return make_schedule(
        Scheduler(lr, values, next_lr, "affine", is_traced=any_traced(lr, eta_min))
    )
