"""OneCycleLR: the momentum, or beta1."""

from __future__ import annotations

from typing import Literal

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Scalar, Schedule
from jaxaccel.schedules._inputs import any_traced, given_number
from jaxaccel.schedules._one_cycle import cycle_curve, last_step, make_cycle
from jaxaccel.schedules._schedule import absolute_schedule


@shows_call
@checked_after
def one_cycle_momentum(
    total_steps: Count | None = None,
    epochs: Count | None = None,
    steps_per_epoch: Count | None = None,
    pct_start: Scalar = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    base_momentum: Scalar = 0.85,
    max_momentum: Scalar = 0.95,
    three_phase: bool = False,
) -> Schedule:
    r"""Lower the momentum while ``one_cycle_lr`` raises the learning rate, and back.

    The phases and the curve are those of ``one_cycle_lr``: from ``max_momentum`` to
    ``base_momentum``, where the learning rate peaks, and back; in the third phase it stays.
    Give it to SGD as ``momentum`` or to Adam and AdamW as the first of ``betas``.

    Args:
        total_steps: The length in steps, an int above 0; it takes precedence over the next two.
        epochs: The number of epochs, an int above 0.
        steps_per_epoch: The number of steps in each, an int above 0.
        pct_start: The part of the cycle spent on the way down, a float in [0, 1].
        anneal_strategy: ``"cos"`` or ``"linear"``.
        base_momentum: The lowest momentum.
        max_momentum: The highest momentum, at both ends.
        three_phase: Whether the way back is as long as the way down.

    Returns:
        A schedule ``step -> momentum``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: An argument is out of its range, or no length is given. The schedule raises
            for a Python or NumPy step beyond ``total_steps``.
        TypeError: A momentum is not a number.

    PyTorch:
        What ``torch.optim.lr_scheduler.OneCycleLR`` with ``cycle_momentum=True`` writes to the
        optimizer's ``momentum``, or to the first of its ``betas``; equal at every step, with
        the ends as in ``one_cycle_lr``. In a ``SequentialLR`` PyTorch leaves the momentum at
        ``max_momentum`` until the cycle starts:
        ``sequential_lr([lambda k: max_momentum, one_cycle_momentum(...)], milestones)``.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.one_cycle_momentum(total_steps=10)
        >>> [round(schedule(k), 3) for k in (0, 1, 2, 5, 9)]
        [0.95, 0.9, 0.85, 0.889, 0.95]

    References:
        Smith, Topin. Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
        Rates. 2018. https://arxiv.org/abs/1708.07120
    """
    cycle = make_cycle(
        total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase
    )
    lowest = given_number("base_momentum", base_momentum)
    highest = given_number("max_momentum", max_momentum)
    turns = (highest, lowest, highest, highest) if three_phase else (highest, lowest, highest)
    curve = cycle_curve(cycle, turns)
    facts = {"last_step": last_step(cycle), "is_traced": any_traced(lowest, highest)}
    return absolute_schedule(lambda start: curve, **facts)
