"""Linear warm-up, then a decay with the inverse square root of the step."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._inputs import given_lr, known_count
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def inverse_sqrt_schedule(
    lr: Scalar, num_warmup_steps: Count, timescale: Count | None = None
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then divide it by a growing root.

    The decay has no end: training may go on for as long as it likes. With the default
    ``timescale`` this is the schedule of the first Transformer, whose ``lr`` is
    :math:`d^{-1/2} W^{-1/2}` for a model of width :math:`d`.

    .. math::
        \eta_k = \begin{cases}
            \eta\, k / W & k < W \\
            \eta \sqrt{\tau / (k - W + \tau)} & k \ge W
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        timescale: The number of steps :math:`\tau`, a whole number of at least 1: after 3 of
            them the learning rate is half of ``lr``. By default ``num_warmup_steps``, or 10,000
            without a warm-up.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step to ``torch.optim.lr_scheduler.LambdaLR`` whose lambda returns the
        formula above divided by :math:`\eta`, which is ``get_inverse_sqrt_schedule`` of
        Transformers. ``lr`` stands for the optimizer's. Left out: ``last_epoch``, and a
        ``timescale`` that is below 1 or not whole.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.inverse_sqrt_schedule(0.1, num_warmup_steps=4)
        >>> [round(schedule(k), 4) for k in (0, 2, 4, 8, 16, 100)]
        [0.0, 0.05, 0.1, 0.0707, 0.05, 0.02]

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
        Zhai, Kolesnikov, Houlsby, Beyer. Scaling Vision Transformers. 2022.
        https://arxiv.org/abs/2106.04560
    """
    lr = given_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    if timescale is None:
        timescale = num_warmup_steps or 10_000
    timescale = known_count("timescale", timescale, least=1)

    def factor(xp: Any, k: Any) -> Any:
        return xp.sqrt(timescale / (k + timescale).astype(float))

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))
