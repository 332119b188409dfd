"""Linear warm-up, then a cosine."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._cosine_phase import cosine_phase, known_cycles
from jaxaccel.schedules._inputs import known_count, known_lr, known_number
from jaxaccel.schedules._schedule import multiple_of_base
from jaxaccel.schedules._warmup import after_warmup


@shows_call
@checked_after
def cosine_schedule_with_warmup(
    lr: Scalar,
    num_warmup_steps: Count,
    num_training_steps: Count,
    num_cycles: Scalar = 0.5,
    min_lr: Scalar | None = None,
    min_lr_rate: Scalar | None = None,
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then swing it down on a cosine.

    With the default half cycle it falls once, to its minimum at step ``num_training_steps``.
    Nothing stops it there: the cosine goes on, and the learning rate rises again.

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
        num_training_steps: The number of steps :math:`N` in all, the warm-up included.
        num_cycles: The number of waves :math:`c` after the warm-up, at least 0, whole or not.
        min_lr: The lowest learning rate of the cosine, at least 0; by default 0.
        min_lr_rate: The same as a share :math:`m` of ``lr``, instead of ``min_lr``.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, the warm-up is longer than the training,
            ``min_lr`` and ``min_lr_rate`` are both given, or ``min_lr`` is with ``lr=0``.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is
        ``get_cosine_schedule_with_warmup`` of Transformers. With ``min_lr`` or ``min_lr_rate``
        it is ``get_cosine_with_min_lr_schedule_with_warmup``: the same curve above a floor, in
        one function. The floor is the cosine's alone: the warm-up starts
        from 0. ``lr`` stands for the optimizer's. Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cosine_schedule_with_warmup(0.1, 2, 6, min_lr=0.01)
        >>> [round(schedule(k), 4) for k in range(8)]
        [0.0, 0.05, 0.1, 0.0868, 0.055, 0.0232, 0.01, 0.0232]

    References:
        Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. 2017.
        https://arxiv.org/abs/1608.03983
        Goyal et al. Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour. 2017.
        https://arxiv.org/abs/1706.02677
    """
    lr = known_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    num_cycles = known_cycles(num_cycles)
    lowest = _known_lowest(lr, min_lr, min_lr_rate)

    def factor(xp: Any, k: Any) -> Any:
        done, left = cosine_phase(xp, k, num_cycles, length)
        return anneal(xp, "cos", 1.0, lowest, done, left)

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))


def known_lengths(num_warmup_steps: Any, num_training_steps: Any) -> tuple[int, int]:
    """Return the lengths of the warm-up and of what follows, which is at least one step."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_training_steps = known_count("num_training_steps", num_training_steps, least=0)
    if num_training_steps < num_warmup_steps:
        raise ValueError(
            f"num_training_steps must be at least num_warmup_steps, got {num_training_steps} "
            f"and {num_warmup_steps}; it counts the steps of the warm-up too"
        )
    return num_warmup_steps, max(num_training_steps - num_warmup_steps, 1)


def _known_lowest(lr: float, min_lr: Any, min_lr_rate: Any) -> float:
    """Return the lowest factor of the cosine, which has two spellings."""
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    name, value = ("min_lr", min_lr) if min_lr is not None else ("min_lr_rate", min_lr_rate)
    lowest = 0.0 if value is None else known_number(name, value)
    if not lowest >= 0.0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    if min_lr is None:
        return lowest
    if lr == 0.0:
        raise ValueError("min_lr needs an lr above 0, of which it is a share; give min_lr_rate")
    return lowest / lr
