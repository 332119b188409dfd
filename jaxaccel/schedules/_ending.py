"""Curves that PyTorch cannot be asked for beyond some step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxaccel.schedules._schedule import Curve


def ending(
    curve: Curve, last_step: float, error: Callable[[int], Exception], held: int | None = None
) -> Curve:
    """Return the curve that raises ``error(k)`` for the first known step beyond ``last_step``.

    A traced step cannot raise: it holds the value at step ``held``, or at the last one.
    """
    if last_step == math.inf:
        return curve
    hold = int(last_step) if held is None else held

    def bounded(xp: Any, k: Any) -> Any:
        beyond = k > int(last_step)
        if xp is not np:
            return curve(xp, xp.where(beyond, hold, k))
        if beyond.any():
            raise error(int(k[beyond].min()))
        return curve(xp, k)

    return bounded
