"""What turns a step into a program that can be compiled, without running it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def lower_of(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return what lowers a step: its own, unless it was copied from one that the step wraps."""
    own, wrapped = getattr(step, "lowered", None), getattr(step, "__wrapped__", None)
    if own is not None and getattr(wrapped, "lowered", None) is not own:
        return own
    return getattr(step, "lower", None) or jax.jit(step).lower
