"""CosineAnnealingWarmRestarts."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._inputs import known_lr
from torch_ref.schedules._schedule import Curve, Schedule, Start, absolute_schedule


def cosine_annealing_warm_restarts(
    lr: float, T_0: int, T_mult: int = 1, eta_min: float = 0.0
) -> Schedule:
    """Lower the learning rate on a cosine, again and again, in cycles that may grow."""
    lr = known_lr(lr)
    if not isinstance(T_0, int) or T_0 <= 0:
        raise ValueError(f"Expected positive integer T_0, but got {T_0}")
    if not isinstance(T_mult, int) or T_mult < 1:
        raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
    if not isinstance(eta_min, (float, int)):
        raise ValueError(
            f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}"
        )
    starts = _starts(T_0, T_mult)

    def values(start: Start) -> Curve:
        def curve(k: Any) -> float:
            if T_mult == 1:
                done, length = k % T_0, T_0
            else:
                cycle = bisect_right(starts, k) - 1
                done, length = k - starts[cycle], T_0 * T_mult**cycle
            left = length - done
            return anneal("cos", start.base_lr, eta_min, done / length, left / length)

        return curve

    return absolute_schedule(values, lr, fractional=True)


def _starts(first_length: int, growth: int) -> list[int]:
    """Return the steps at which the cycles start, all that fit into an int64."""
    starts, length = [0], first_length
    while growth > 1 and starts[-1] + length < 2**62:
        starts.append(starts[-1] + length)
        length *= growth
    return starts
