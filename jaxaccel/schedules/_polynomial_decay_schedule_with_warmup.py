"""Linear warm-up, then a power of the steps that are left."""

from __future__ import annotations

from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._constant_schedule_with_warmup import after_warmup
from jaxaccel.schedules._cosine_schedule_with_warmup import known_lengths
from jaxaccel.schedules._inputs import any_traced, given_lr, given_number, is_known
from jaxaccel.schedules._schedule import multiple_of_base


@shows_call
@checked_after
def polynomial_decay_schedule_with_warmup(
    lr: Scalar,
    num_warmup_steps: Count,
    num_training_steps: Count,
    lr_end: Scalar = 1e-7,
    power: Scalar = 1.0,
) -> Schedule:
    r"""Raise the learning rate from 0 to ``lr`` on a line, then lower it to ``lr_end`` on a power.

    From step ``num_training_steps`` on the learning rate is ``lr_end``.

    .. math::
        \eta_k = \begin{cases}
            \eta\, k / W & k < W \\
            \eta_{\text{end}} + (\eta - \eta_{\text{end}})
                \left(1 - \frac{k - W}{N - W}\right)^p & W \le k \le N \\
            \eta_{\text{end}} & k > N
        \end{cases}

    Args:
        lr: The optimizer's learning rate :math:`\eta`, above ``lr_end``.
        num_warmup_steps: The number of steps :math:`W` from 0 to ``lr``, a whole number of at
            least 0.
        num_training_steps: The number of steps :math:`N` in all, the warm-up included, more than
            it.
        lr_end: The last learning rate :math:`\eta_{\text{end}}`.
        power: The power :math:`p`, at least 0; 1 is a straight line.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, ``lr_end`` is not below ``lr``, or nothing is
            left of the training after the warm-up.
        TypeError: An argument is not a number.

    PyTorch:
        Equal at every step, past the end too, to ``torch.optim.lr_scheduler.LambdaLR`` whose
        lambda returns the formula above divided by :math:`\eta`, which is
        ``get_polynomial_decay_schedule_with_warmup`` of Transformers. ``lr`` stands for the
        optimizer's. Left out: ``last_epoch``, a training without a decay and a negative ``power``,
        with which Transformers divides by zero on its way. ``PolynomialLR`` (here
        ``polynomial_lr``) ends at 0.

    Example:
        >>> import jaxaccel as ja
        >>> make = ja.schedules.polynomial_decay_schedule_with_warmup
        >>> schedule = make(0.1, 2, num_training_steps=6, lr_end=0.02, power=2.0)
        >>> [round(schedule(k), 4) for k in range(8)]
        [0.0, 0.05, 0.1, 0.065, 0.04, 0.025, 0.02, 0.02]
    """
    lr, lr_end = given_lr(lr), given_number("lr_end", lr_end)
    power = given_number("power", power)
    if not any_traced(lr, lr_end) and not lr > lr_end:
        raise ValueError(f"lr_end ({lr_end}) must be smaller than initial lr ({lr})")
    if is_known(power) and not power >= 0.0:
        raise ValueError(f"power must be at least 0, got {power!r}")
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    if int(num_training_steps) == num_warmup_steps:
        raise ValueError(
            f"num_training_steps must be more than num_warmup_steps, got {num_training_steps} for "
            "both: no step is left for the decay, and Transformers divides by zero"
        )
    lowest = lr_end / lr

    def factor(xp: Any, k: Any) -> Any:
        left = xp.maximum(length - k, 0).astype(float) / length
        return xp.where(k > length, lowest, lowest + (1.0 - lowest) * left**power)

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor), lowest, power)
