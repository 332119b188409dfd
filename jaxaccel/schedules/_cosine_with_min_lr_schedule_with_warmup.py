"""Linear warm-up, then a cosine above a floor."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._math import is_zero
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._cosine_phase import cosine_phase, known_cycles
from jaxaccel.schedules._cosine_schedule_with_warmup import known_lengths
from jaxaccel.schedules._inputs import given_lr, given_number, is_known
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def cosine_with_min_lr_schedule_with_warmup(
    lr: Scalar,
    num_warmup_steps: Count,
    num_training_steps: Count,
    num_cycles: Scalar = 0.5,
    min_lr: Scalar | None = None,
    min_lr_rate: Scalar | None = None,
    *,
    hold_min_lr: bool = False,
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then lower it to a floor on a cosine.

    With the default half cycle it falls once, to the floor at step ``num_training_steps``. In
    Transformers the cosine goes on from there, and the learning rate rises again. With
    ``hold_min_lr`` it stays, as GPT-3's and nanoGPT's do, whose decay is shorter than the training.

    .. math::
        \eta_k = \begin{cases}
            \eta\, k / W & k < W \\
            \eta \left(m + \tfrac{1}{2} (1 - m)
                \left(1 + \cos\left(2 \pi c\, \frac{k - W}{N - W}\right)\right)\right)
                & k \ge W
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        num_training_steps: The number of steps :math:`N` in all, the warm-up included. With
            ``hold_min_lr``, those to the floor (nanoGPT's ``lr_decay_iters``).
        num_cycles: The number of waves :math:`c` after the warm-up, at least 0, whole or not.
        min_lr: The lowest learning rate of the cosine, at least 0.
        min_lr_rate: The same as a share :math:`m` of ``lr``, instead of ``min_lr``.
        hold_min_lr: Stay at the floor from step ``num_training_steps`` on.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, the warm-up is longer than the training,
            ``min_lr`` and ``min_lr_rate`` are both given or both not, or ``min_lr`` is with
            ``lr=0``.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is
        ``get_cosine_with_min_lr_schedule_with_warmup`` of Transformers. The floor is the cosine's
        alone: the warm-up starts from 0. ``lr`` stands for the optimizer's. ``hold_min_lr`` is new.
        Left out: ``last_epoch``. nanoGPT's first step has the rate ``lr / (W + 1)``; its
        ``get_lr`` is ``lambda_lr(1.0, get_lr, total_steps=...)`` as it stands.

    Example:
        >>> import jaxaccel as ja
        >>> make = ja.schedules.cosine_with_min_lr_schedule_with_warmup
        >>> schedule = make(0.1, 2, 6, min_lr=0.01, hold_min_lr=True)
        >>> [round(schedule(k), 4) for k in range(8)]
        [0.0, 0.05, 0.1, 0.0868, 0.055, 0.0232, 0.01, 0.01]

    References:
        Brown et al. Language Models are Few-Shot Learners (GPT-3). 2020.
        https://arxiv.org/abs/2005.14165
    """
    lr = given_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    num_cycles = known_cycles(num_cycles)
    lowest = _given_lowest(lr, min_lr, min_lr_rate)

    def factor(xp: Any, k: Any) -> Any:
        done, left = cosine_phase(xp, k, num_cycles, length)
        value = anneal(xp, "cos", 1.0, lowest, done, left)
        return xp.where(k < length, value, lowest) if hold_min_lr else value

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor), lowest)


def _given_lowest(lr: Any, min_lr: Any, min_lr_rate: Any) -> Any:
    """Return the lowest factor of the cosine, which has two spellings."""
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    if min_lr is None and min_lr_rate is None:
        raise ValueError(
            "One of min_lr or min_lr_rate should be set through the `lr_scheduler_kwargs`\n"
            "here an argument of the schedule; one that falls to 0 is cosine_schedule_with_warmup"
        )
    name, value = ("min_lr", min_lr) if min_lr is not None else ("min_lr_rate", min_lr_rate)
    lowest = given_number(name, value)
    if is_known(lowest) and not lowest >= 0.0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    if min_lr is None:
        return lowest
    if is_zero(lr):
        raise ValueError("min_lr needs an lr above 0, of which it is a share; give min_lr_rate")
    return lowest / lr
