"""ExponentialLR."""

from __future__ import annotations

from torch_ref.schedules._inputs import known_lr, known_number
from torch_ref.schedules._schedule import Schedule, factor_schedule


def exponential_lr(lr: float, gamma: float) -> Schedule:
    """Multiply the learning rate by ``gamma`` at every step."""
    lr = known_lr(lr)
    gamma = known_number("gamma", gamma)

    def factor(k: int) -> float:
        return gamma**k

    def ratio(k: int) -> float:
        return gamma

    return factor_schedule(lr, factor, ratio)
