"""The linear warm-up, alone and in front of another curve."""

from __future__ import annotations

from torch_ref.schedules._inputs import known_count, known_lr
from torch_ref.schedules._schedule import Curve, Schedule, multiple_of_base


def warmup(lr: float, num_warmup_steps: int) -> Schedule:
    """Raise the learning rate on a straight line from 0 to ``lr``, then hold it."""
    lr = known_lr(lr)
    num_warmup_steps = known_count("num_warmup_steps", num_warmup_steps, least=0)
    return multiple_of_base(lr, after_warmup(num_warmup_steps, lambda k: 1.0))


def after_warmup(num_warmup_steps: int, factor: Curve) -> Curve:
    """Return the line from 0 to 1, and then ``factor``, counted from the end of the line."""

    def curve(k: int) -> float:
        rising = k / max(num_warmup_steps, 1)
        later = factor(max(k - num_warmup_steps, 0))
        return rising if k < num_warmup_steps else later

    return curve
