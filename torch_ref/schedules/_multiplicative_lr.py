"""MultiplicativeLR."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch_ref.schedules._inputs import known_lr, known_total_steps
from torch_ref.schedules._schedule import (
    Curve,
    Schedule,
    Scheduler,
    Start,
    make_schedule,
    multiplied_by,
)
from torch_ref.schedules._user_function import check_function


def multiplicative_lr(
    lr: float, lr_lambda: Callable[[int], Any], *, total_steps: int | None = None
) -> Schedule:
    """Multiply the learning rate, at every step, by a function of the step."""
    lr = known_lr(lr)
    check_function("lr_lambda", lr_lambda)
    total_steps = known_total_steps(total_steps)

    def values(start: Start) -> Curve:
        def curve(k: int) -> float:
            # The constructor does not multiply; a milestone does.
            first = 0 if start.entry == "milestone" else 1
            return start.lr * math.prod(lr_lambda(step) for step in range(first, k + 1))

        return curve

    return make_schedule(Scheduler(lr, values, multiplied_by(lr_lambda), "factor", goes_on=True))
