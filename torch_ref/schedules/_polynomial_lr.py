"""PolynomialLR."""

from __future__ import annotations

import math

from torch_ref.schedules._ending import ending
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Curve, Schedule, factor_schedule


def polynomial_lr(lr: float, total_iters: int = 5, power: float = 1.0) -> Schedule:
    """Lower the learning rate to 0 on a power of the steps that are left, and hold it there."""
    lr = known_lr(lr)
    total_iters = known_count("total_iters", total_iters, least=0)
    power = known_number("power", power)
    last_step = total_iters - 1 if power < 0.0 and total_iters else math.inf

    def end(curve: Curve) -> Curve:
        return ending(
            curve,
            last_step,
            lambda k: ZeroDivisionError(
                f"polynomial_lr with power={power} cannot go on at step {k}: PyTorch divides by "
                f"zero at total_iters={total_iters}"
            ),
        )

    def factor(k: int) -> float:
        left = max(total_iters - k, 0)
        return (left / total_iters) ** power if total_iters else 1.0

    def ratio(k: int) -> float:
        left = max(total_iters - k, 0)
        return 1.0 if k > total_iters else (left / (left + 1)) ** power

    no_restart = "" if total_iters else "polynomial_lr with total_iters=0: PyTorch divides by zero"
    return factor_schedule(lr, end(factor), end(ratio), last_step=last_step, no_restart=no_restart)
