"""Linear warm-up, then a falling cosine again and again."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._cosine_schedule_with_warmup import known_lengths
from jaxaccel.schedules._inputs import given_lr, known_count
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def cosine_with_hard_restarts_schedule_with_warmup(
    lr: Scalar, num_warmup_steps: Count, num_training_steps: Count, num_cycles: Count = 1
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then let it fall several times.

    Every fall is half a cosine from ``lr`` to 0, after which the next starts at ``lr`` at once.
    From step ``num_training_steps`` on the learning rate is 0.

    .. math::
        \eta_k = \begin{cases}
            \eta\, k / W & k < W \\
            \tfrac{1}{2} \eta \left(1 + \cos\left(\pi \left(
                c\, \frac{k - W}{N - W} \bmod 1\right)\right)\right) & W \le k < N \\
            0 & k \ge N
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        num_training_steps: The number of steps :math:`N` in all, the warm-up included.
        num_cycles: The number of falls :math:`c`, a whole number of at least 1.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, or the warm-up is longer than the training.
        TypeError: An argument is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.LambdaLR`` whose lambda returns the formula above divided by
        :math:`\eta`, which is ``get_cosine_with_hard_restarts_schedule_with_warmup`` of
        Transformers. Equal at every step, but for the first of a fall: Transformers takes the
        remainder of a rounded fraction, which can lie just below 1 (at the second of 49 falls),
        and the learning rate of that step is then 0 instead of ``lr``. Here the remainder is
        taken of whole numbers. ``lr`` stands for the optimizer's. Left out:
        ``last_epoch`` and a ``num_cycles`` that is not whole or below 1.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cosine_with_hard_restarts_schedule_with_warmup(
        ...     0.1, num_warmup_steps=2, num_training_steps=8, num_cycles=2
        ... )
        >>> [round(schedule(k), 4) for k in range(10)]
        [0.0, 0.05, 0.1, 0.075, 0.025, 0.1, 0.075, 0.025, 0.0, 0.0]

    References:
        Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. 2017.
        https://arxiv.org/abs/1608.03983
    """
    lr = given_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    # Whole falls per step leave no remainder.
    num_cycles = known_count("num_cycles", num_cycles, least=1) % length

    def factor(xp: Any, k: Any) -> Any:
        k = xp.minimum(k, length)
        fall = (k.astype(float) * (num_cycles / length)).astype(int)
        # Both products may wrap around in 32 bits; their difference, from -1 to 2 lengths as
        # fall may be one off, is right.
        into = (k * num_cycles - fall * length) % length
        done, left = into.astype(float) / length, (length - into).astype(float) / length
        return xp.where(k < length, anneal(xp, "cos", 1.0, 0.0, done, left), 0.0)

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))
