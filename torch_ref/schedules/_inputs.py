"""What a schedule is given: numbers that must be known when it is built, and steps."""

from __future__ import annotations

import operator
from typing import Any

from torch_ref._checks import check_lr, known_value


def known_number(name: str, value: Any) -> float:
    """Return ``value`` as a float, or raise when it is a schedule or no number."""
    known = known_value(name, value)
    if known is None:
        raise TypeError(f"{name} must be a number that is known now, got {value!r}")
    return known


def known_lr(lr: Any) -> float:
    """Return a learning rate, at least 0, as a float."""
    check_lr(lr)
    return known_number("lr", lr)


def known_count(name: str, value: Any, least: int) -> int:
    """Return ``value``, a whole number of at least ``least``, as an int."""
    known = known_number(name, value)
    if not known.is_integer() or known < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(known)


def known_total_steps(total_steps: Any) -> int | None:
    """Return the length of a table for traced steps as an int, or None when none is asked for."""
    return None if total_steps is None else known_count("total_steps", total_steps, least=0)


def known_step(step: Any, fractional: bool = False) -> Any:
    """Return a step as an int, or as a float if allowed."""
    k = float(step) if fractional and isinstance(step, float) else operator.index(step)
    if k < 0:
        raise ValueError(f"step must be at least 0, got {k}")
    return k
