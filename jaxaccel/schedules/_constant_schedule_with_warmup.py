"""A linear warm-up, then a constant learning rate."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import given_lr, known_count
from jaxaccel.schedules._schedule import Curve, multiple_of_base


@shows_call
@checked_after
def constant_schedule_with_warmup(lr: Scalar, num_warmup_steps: Count) -> Schedule:
    r"""Raise the learning rate on a straight line from 0 to ``lr``, then hold it.

    .. math::
        \eta_k = \eta \min(k / W, 1)

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0. With 0 there is no warm-up.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step to ``torch.optim.lr_scheduler.LambdaLR`` whose lambda returns
        ``k / num_warmup_steps`` before ``num_warmup_steps`` and 1 from there on, which is
        ``get_constant_schedule_with_warmup`` of Transformers. The first step is taken with a
        learning rate of 0; ``LinearLR`` (here ``linear_lr``) cannot start there. ``lr`` stands
        for the optimizer's. Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.constant_schedule_with_warmup(0.1, num_warmup_steps=4)
        >>> [round(schedule(k), 4) for k in range(6)]
        [0.0, 0.025, 0.05, 0.075, 0.1, 0.1]

    References:
        Goyal et al. Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour. 2017.
        https://arxiv.org/abs/1706.02677
    """
    lr = given_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    return multiple_of_base(lr, after_warmup(num_warmup_steps, lambda xp, k: 1.0))


def after_warmup(num_warmup_steps: int, factor: Curve) -> Curve:
    """Return the line from 0 to 1, and then ``factor``, counted from the end of the line."""

    def curve(xp: Any, k: Any) -> Any:
        rising = k.astype(float) / max(num_warmup_steps, 1)
        later = factor(xp, xp.maximum(k - num_warmup_steps, 0))
        return xp.where(k < num_warmup_steps, rising, later)

    return curve
