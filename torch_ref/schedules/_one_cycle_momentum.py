"""OneCycleLR: the momentum, or beta1."""

from __future__ import annotations

from typing import Literal

from torch_ref.schedules._inputs import known_number
from torch_ref.schedules._one_cycle import cycle_curve, last_step, make_cycle
from torch_ref.schedules._schedule import Schedule, absolute_schedule


def one_cycle_momentum(
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    three_phase: bool = False,
) -> Schedule:
    """Lower the momentum while ``one_cycle_lr`` raises the learning rate, and back."""
    cycle = make_cycle(
        total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase
    )
    lowest = known_number("base_momentum", base_momentum)
    highest = known_number("max_momentum", max_momentum)
    turns = (highest, lowest, highest, highest) if three_phase else (highest, lowest, highest)
    curve = cycle_curve(cycle, turns)
    return absolute_schedule(lambda start: curve, last_step=last_step(cycle))
