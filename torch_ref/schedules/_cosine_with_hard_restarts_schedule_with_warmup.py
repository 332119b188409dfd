"""Linear warm-up, then a falling cosine again and again."""

from __future__ import annotations

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._cosine_schedule_with_warmup import known_lengths
from torch_ref.schedules._inputs import known_count, known_lr
from torch_ref.schedules._schedule import Schedule, multiple_of_base
from torch_ref.schedules._warmup import after_warmup


def cosine_with_hard_restarts_schedule_with_warmup(
    lr: float, num_warmup_steps: int, num_training_steps: int, num_cycles: int = 1
) -> Schedule:
    """Raise the learning rate from 0 to ``lr`` on a line, then let it fall several times."""
    lr = known_lr(lr)
    num_warmup_steps, length = known_lengths(num_warmup_steps, num_training_steps)
    # Whole falls per step leave no remainder.
    num_cycles = known_count("num_cycles", num_cycles, least=1) % length

    def factor(k: int) -> float:
        into = k * num_cycles % length
        done, left = into / length, (length - into) / length
        return anneal("cos", 1.0, 0.0, done, left) if k < length else 0.0

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))
