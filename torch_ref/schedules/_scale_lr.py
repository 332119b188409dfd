"""The learning rate for another batch size."""

from __future__ import annotations

import math
from typing import Any, Literal

from torch_ref._checks import check_positive_integer
from torch_ref.schedules._inputs import known_number


def scale_lr(
    base_lr: float,
    base_batch_size: int,
    batch_size: int,
    rule: Literal["linear", "sqrt"] = "linear",
) -> float:
    """Scale a learning rate that was tuned for one batch size to another."""
    known = known_number("base_lr", base_lr)
    if not known >= 0.0:
        raise ValueError(f"base_lr must be at least 0, got {base_lr!r}")
    check_positive_integer("base_batch_size", base_batch_size)
    check_positive_integer("batch_size", batch_size)
    _check_rule(rule)
    ratio = batch_size / base_batch_size
    return known * (ratio if rule == "linear" else math.sqrt(ratio))


def _check_rule(rule: Any) -> None:
    """Raise unless ``rule`` is one of the two."""
    if rule not in ("linear", "sqrt"):
        raise ValueError(f"rule must be 'linear' or 'sqrt', got {rule!r}")
