"""CyclicLR: the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch_ref.schedules._cyclic import cycle_height
from torch_ref.schedules._inputs import known_number
from torch_ref.schedules._schedule import Curve, Group, Schedule, Start, absolute_schedule


def cyclic_lr(
    base_lr: float,
    max_lr: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[int], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Schedule:
    """Move the learning rate up and down between two bounds on straight lines."""
    base_lr, max_lr = known_number("base_lr", base_lr), known_number("max_lr", max_lr)
    height = cycle_height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)

    def values(start: Start) -> Curve:
        # Until its constructor has finished, PyTorch's object takes the optimizer's initial_lr
        # for its own base_lr. That shows behind a scheduler that was constructed earlier.
        first = start.base_lr if start.entry == "constructor" else base_lr

        def curve(k: int) -> float:
            value = base_lr + (max_lr - base_lr) * height(k)
            return first if k == 0 else value

        return curve

    return absolute_schedule(values, writes=Group(lr=base_lr))
