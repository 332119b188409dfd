"""MultiStepLR."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Schedule, factor_schedule


def multi_step_lr(lr: float, milestones: Iterable[int], gamma: float = 0.1) -> Schedule:
    """Multiply the learning rate by ``gamma`` at every milestone."""
    lr = known_lr(lr)
    steps = sorted(known_count("a milestone", step, least=0) for step in milestones)
    gamma = known_number("gamma", gamma)

    def factor(k: int) -> float:
        return gamma ** bisect_right(steps, k)

    def ratio(k: int) -> float:
        return gamma ** (bisect_right(steps, k) - bisect_right(steps, k - 1))

    return factor_schedule(lr, factor, ratio)
