"""StepLR."""

from __future__ import annotations

from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Schedule, factor_schedule


def step_lr(lr: float, step_size: int, gamma: float = 0.1) -> Schedule:
    """Multiply the learning rate by ``gamma`` every ``step_size`` steps."""
    lr = known_lr(lr)
    step_size = known_count("step_size", step_size, least=1)
    gamma = known_number("gamma", gamma)

    def factor(k: int) -> float:
        return gamma ** (k // step_size)

    def ratio(k: int) -> float:
        return gamma if k > 0 and k % step_size == 0 else 1.0

    return factor_schedule(lr, factor, ratio)
