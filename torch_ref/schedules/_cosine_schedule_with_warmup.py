"""Linear warm-up, then a cosine."""

from __future__ import annotations

from typing import Any

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._cosine_phase import cosine_phase, known_cycles
from torch_ref.schedules._inputs import known_count, known_lr, known_number
from torch_ref.schedules._schedule import Schedule, multiple_of_base
from torch_ref.schedules._warmup import after_warmup


def cosine_schedule_with_warmup(
    lr: float,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> Schedule:
    """Raise the learning rate from 0 to ``lr`` on a line, then swing it down on a cosine."""
    lr = known_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    num_cycles = known_cycles(num_cycles)
    lowest = _known_lowest(lr, min_lr, min_lr_rate)

    def factor(k: int) -> float:
        done, left = cosine_phase(k, num_cycles, length)
        return anneal("cos", 1.0, lowest, done, left)

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))


def known_lengths(num_warmup_steps: Any, num_training_steps: Any) -> tuple[int, int]:
    """Return the lengths of the warm-up and of what follows, which is at least one step."""
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    num_training_steps = known_count("num_training_steps", num_training_steps, least=0)
    if num_training_steps < num_warmup_steps:
        raise ValueError(
            f"num_training_steps must be at least num_warmup_steps, got {num_training_steps} "
            f"and {num_warmup_steps}; it counts the steps of the warm-up too"
        )
    return num_warmup_steps, max(num_training_steps - num_warmup_steps, 1)


def _known_lowest(lr: float, min_lr: Any, min_lr_rate: Any) -> float:
    """Return the lowest factor of the cosine, which has two spellings."""
    if min_lr is not None and min_lr_rate is not None:
        raise ValueError("Only one of min_lr or min_lr_rate should be set")
    name, value = ("min_lr", min_lr) if min_lr is not None else ("min_lr_rate", min_lr_rate)
    lowest = 0.0 if value is None else known_number(name, value)
    if not lowest >= 0.0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    if min_lr is None:
        return lowest
    if lr == 0.0:
        raise ValueError("min_lr needs an lr above 0, of which it is a share; give min_lr_rate")
    return lowest / lr
