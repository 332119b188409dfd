"""OneCycleLR: the learning rate."""

from __future__ import annotations

from typing import Literal

from torch_ref.schedules._inputs import known_number
from torch_ref.schedules._one_cycle import cycle_curve, last_step, make_cycle
from torch_ref.schedules._schedule import Curve, Group, Schedule, Start, absolute_schedule


def one_cycle_lr(
    max_lr: float,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """Raise the learning rate to ``max_lr`` and anneal it far below where it started."""
    cycle = make_cycle(
        total_steps, epochs, steps_per_epoch, pct_start, anneal_strategy, three_phase
    )
    max_lr = known_number("max_lr", max_lr)
    initial_lr = max_lr / known_number("div_factor", div_factor)
    min_lr = initial_lr / known_number("final_div_factor", final_div_factor)

    def values(start: Start) -> Curve:
        # PyTorch reads these from the group at every step: a later OneCycleLR replaces them.
        initial, peak, final = start.group.initial_lr, start.group.max_lr, start.group.min_lr
        turns = (initial, peak, initial, final) if three_phase else (initial, peak, final)
        return cycle_curve(cycle, turns)

    writes = Group(initial_lr=initial_lr, max_lr=max_lr, min_lr=min_lr)
    return absolute_schedule(values, writes=writes, last_step=last_step(cycle))
