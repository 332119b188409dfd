"""Linear warm-up, then a decay with the inverse square root of the step."""

from __future__ import annotations

import math

from torch_ref.schedules._inputs import known_count, known_lr
from torch_ref.schedules._schedule import Schedule, multiple_of_base
from torch_ref.schedules._warmup import after_warmup


def inverse_sqrt(lr: float, num_warmup_steps: int, timescale: int | None = None) -> Schedule:
    """Raise the learning rate from 0 to ``lr`` on a line, then divide it by a growing root."""
    lr = known_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    if timescale is None:
        timescale = num_warmup_steps or 10_000
    timescale = known_count("timescale", timescale, least=1)

    def factor(k: int) -> float:
        return math.sqrt(timescale / (k + timescale))

    return multiple_of_base(lr, after_warmup(num_warmup_steps, factor))
