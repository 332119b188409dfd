"""Curves that PyTorch cannot be asked for beyond some step."""

from __future__ import annotations

from collections.abc import Callable

from torch_ref.schedules._schedule import Curve


def ending(curve: Curve, last_step: float, error: Callable[[int], Exception]) -> Curve:
    """Return the curve that raises ``error(k)`` for a step beyond ``last_step``."""

    def bounded(k: int) -> float:
        if k > last_step:
            raise error(k)
        return curve(k)

    return bounded
