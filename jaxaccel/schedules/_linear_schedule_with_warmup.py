"""Linear warm-up, then a linear decay."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._cosine_schedule_with_warmup import known_lengths
from jaxaccel.schedules._inputs import given_lr
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def linear_schedule_with_warmup(
    lr: Scalar, num_warmup_steps: Count, num_training_steps: Count
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then lower it to 0 on another.

    The default of Transformers' ``Trainer`` (``lr_scheduler_type="linear"``, there without a
    warm-up). From step ``num_training_steps`` on the learning rate is 0.

    .. math::
        \eta_k = \eta \begin{cases}
            k / W & k < W \\
            \max(N - k, 0) / (N - W) & k \ge W
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, at least 0.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        num_training_steps: The number of steps :math:`N` in all, the warm-up included.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, or the warm-up is longer than the training.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is
        ``get_linear_schedule_with_warmup`` of Transformers. ``lr`` stands for the optimizer's.
        Left out: ``last_epoch``, and a warm-up that is longer than the training, which
        Transformers does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.linear_schedule_with_warmup(0.1, 2, num_training_steps=6)
        >>> [round(schedule(k), 4) for k in range(8)]
        [0.0, 0.05, 0.1, 0.075, 0.05, 0.025, 0.0, 0.0]

    References:
        Devlin, Chang, Lee, Toutanova. BERT: Pre-training of Deep Bidirectional Transformers. 2019.
        https://arxiv.org/abs/1810.04805
    """
    lr = given_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    end = int(num_training_steps) - num_warmup_steps

    def factor(xp: Any, k: Any) -> Any:
        return xp.maximum(end - k, 0).astype(float) / length

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))
