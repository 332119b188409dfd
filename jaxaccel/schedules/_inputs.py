"""What a schedule is given: numbers that must be known when it is built, and steps."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxaccel._checks import check_lr, known_value


def known_number(name: str, value: Any) -> float:
    """Return ``value`` as a float, or raise when it is a schedule, traced or not a number."""
    known = known_value(name, value)
    if known is None:
        raise TypeError(f"{name} must be a number that is known now, got {value!r}")
    return known


def plain(value: Any) -> Any:
    """Return a scalar of NumPy's or JAX's as Python's number, and anything else as it is.

    Where PyTorch asks for a Python number by its type, this comes before its check.
    """
    is_array = isinstance(value, (np.generic, np.ndarray, jax.Array))
    return value.item() if is_array and value.size == 1 and not isinstance(value, Tracer) else value


def known_lr(lr: Any) -> float:
    """Return a learning rate, at least 0, as a float."""
    check_lr(lr)
    return known_number("lr", lr)


def known_count(name: str, value: Any, least: int) -> int:
    """Return ``value``, a whole number of at least ``least``, as an int."""
    known = known_number(name, value)
    if known >= 2**63:
        raise ValueError(f"{name} is too large, got {value!r:.80}")
    if not known.is_integer() or known < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(known)


def known_total_steps(total_steps: Any) -> int | None:
    """Return the length of a table for traced steps as an int, or None when none is asked for."""
    return None if total_steps is None else known_count("total_steps", total_steps, least=0)


def known_steps(step: Any, fractional: bool = False) -> np.ndarray:
    """Return a Python or NumPy step, or an array of them, as int64 (as float64 if allowed)."""
    if isinstance(step, Tracer):
        raise TypeError(f"step must be known now, got {step!r}")
    steps = np.asarray(step)
    whole = np.issubdtype(steps.dtype, np.integer)
    if not whole and not (fractional and np.issubdtype(steps.dtype, np.floating)):
        raise TypeError(f"step must be an integer or an array of integers, got {step!r}")
    if not (steps >= 0).all():
        raise ValueError(f"step must be at least 0, got {steps.min()}")
    return steps.astype(np.int64 if whole else np.float64)
