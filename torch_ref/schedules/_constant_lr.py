"""ConstantLR."""

from __future__ import annotations

import math

from torch_ref.schedules._ending import ending
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import (
    Curve,
    Schedule,
    Scheduler,
    Start,
    make_schedule,
    multiplied_by,
)


def constant_lr(lr: float, factor: float = 1.0 / 3, total_iters: int = 5) -> Schedule:
    """Hold a share of the learning rate for some steps, then the whole."""
    lr = known_lr(lr)
    factor = known_number("factor", factor)
    if not 0.0 <= factor <= 1.0:
        raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
    total_iters = known_count("total_iters", total_iters, least=0)
    last_step = total_iters - 1 if factor == 0.0 and total_iters else math.inf

    def end(curve: Curve) -> Curve:
        return ending(
            curve,
            last_step,
            lambda k: ZeroDivisionError(
                f"constant_lr with factor=0 cannot go on at step {k}: PyTorch divides by it at "
                f"total_iters={total_iters}"
            ),
        )

    def ratio(k: int) -> float:
        back = 1.0 / factor if factor else 1.0
        later = back if k == total_iters else 1.0
        return factor if k == 0 else later

    def values(start: Start) -> Curve:
        # _update_lr(0) takes the closed form, in which no steps have no factor.
        held = total_iters > 0 or start.entry != "milestone"
        first = factor if held else 1.0
        last = 1.0 if total_iters else first
        return end(lambda k: start.origin * (first if k < total_iters else last))

    scheduler = Scheduler(lr, values, multiplied_by(end(ratio)), "factor", last_step=last_step)
    return make_schedule(scheduler)
