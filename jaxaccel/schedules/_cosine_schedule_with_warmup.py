"""Linear warm-up, then a cosine."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._anneal import anneal
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._cosine_phase import cosine_phase, known_cycles
from jaxaccel.schedules._inputs import given_lr, known_count
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def cosine_schedule_with_warmup(
    lr: Scalar,
    num_warmup_steps: Count,
    num_training_steps: Count,
    num_cycles: Scalar = 0.5,
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then swing it down on a cosine.

    With the default half cycle it falls once, to 0 at step ``num_training_steps``. Nothing stops it
    there: the cosine goes on, and the learning rate rises again.
    :func:`cosine_with_min_lr_schedule_with_warmup` ends above 0, and can stay there.

    .. math::
        \eta_k = \begin{cases}
            \eta\, k / W & k < W \\
            \tfrac{1}{2} \eta \left(1 + \cos\left(2 \pi c\, \frac{k - W}{N - W}\right)\right)
                & k \ge W
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        num_training_steps: The number of steps :math:`N` in all, the warm-up included.
        num_cycles: The number of waves :math:`c` after the warm-up, at least 0, whole or not.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, or the warm-up is longer than the training.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is
        ``get_cosine_schedule_with_warmup`` of Transformers. ``lr`` stands for the optimizer's.
        Left out: ``last_epoch``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.cosine_schedule_with_warmup(0.1, 2, 6)
        >>> [round(schedule(k), 4) for k in range(8)]
        [0.0, 0.05, 0.1, 0.0854, 0.05, 0.0146, 0.0, 0.0146]

    References:
        Loshchilov, Hutter. SGDR: Stochastic Gradient Descent with Warm Restarts. 2017.
        https://arxiv.org/abs/1608.03983
        Goyal et al. Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour. 2017.
        https://arxiv.org/abs/1706.02677
    """
    lr = given_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    num_cycles = known_cycles(num_cycles)

    def factor(xp: Any, k: Any) -> Any:
        done, left = cosine_phase(xp, k, num_cycles, length)
        return anneal(xp, "cos", 1.0, 0.0, done, left)

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
