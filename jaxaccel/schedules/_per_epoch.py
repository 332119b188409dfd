"""A schedule that is stepped once an epoch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_takes
from jaxaccel._types import Count, Schedule
from jaxaccel.schedules._inputs import known_count


@shows_call
@checked_but("schedule")
def per_epoch(schedule: Callable[[Any], Any], steps_per_epoch: Count) -> Schedule:
    r"""Read a schedule of epochs at updates, as a loop does that steps its scheduler once an epoch.

    .. math::
        \eta_k = f(\lfloor k / n \rfloor)

    Args:
        schedule: A schedule :math:`f`, of this room or any function of the step, which here is the
            epoch.
        steps_per_epoch: The number :math:`n` of updates in an epoch, a whole number of at least 1:
            ``len(loader)``, and with accumulated gradients as many times fewer.

    Returns:
        A schedule ``step -> learning rate`` that returns what ``schedule`` returns.

    Raises:
        ValueError: ``steps_per_epoch`` is below 1 or not whole.
        TypeError: ``schedule`` is not a function of the step.

    PyTorch:
        ``scheduler.step()`` at the end of each epoch and not after each batch. Schedules that
        share an optimizer are joined first: ``per_epoch(sequential_lr(...), n)``. A
        ``ReduceLROnPlateau`` is :func:`jaxaccel.training.follow_plateau`.

    Example:
        >>> import jaxaccel as ja
        >>> schedule = ja.schedules.per_epoch(ja.schedules.exponential_lr(0.8, gamma=0.5), 3)
        >>> [schedule(k) for k in range(7)]
        [0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2]
    """
    if not callable(schedule):
        raise TypeError(
            f"per_epoch takes a schedule, a function of the epoch, got {schedule!r:.80}; a plateau "
            "follows a metric: training.follow_plateau"
        )
    check_takes("schedule", "(epoch) -> number", schedule, 0)
    length = known_count("steps_per_epoch", steps_per_epoch, least=1)
    return functools.partial(_at_epoch, schedule, length)


def _at_epoch(schedule: Callable[[Any], Any], steps_per_epoch: int, step: Any, /) -> Any:
    """Return the value of a schedule in the epoch that a step belongs to."""
    return schedule(step // steps_per_epoch)
