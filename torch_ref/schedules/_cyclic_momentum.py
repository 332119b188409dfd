"""CyclicLR: the momentum, or beta1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch_ref.schedules._cyclic import cycle_height
from torch_ref.schedules._inputs import known_number
from torch_ref.schedules._schedule import Schedule, absolute_schedule


def cyclic_momentum(
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: float = 1.0,
    scale_fn: Callable[[int], Any] | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    base_momentum: float = 0.8,
    max_momentum: float = 0.9,
) -> Schedule:
    """Lower the momentum while ``cyclic_lr`` raises the learning rate, and back."""
    lowest = known_number("base_momentum", base_momentum)
    highest = known_number("max_momentum", max_momentum)
    height = cycle_height(step_size_up, step_size_down, mode, gamma, scale_fn, scale_mode)

    def curve(k: int) -> float:
        return highest - (highest - lowest) * height(k)

    return absolute_schedule(lambda start: curve)
