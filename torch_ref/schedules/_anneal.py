"""From one value to another, exact at both ends in any precision."""

from __future__ import annotations

import math


def anneal(strategy: str, start: float, end: float, done: float, left: float) -> float:
    """Return the value ``done`` of the way from ``start`` to ``end``; ``done + left`` is 1."""
    if strategy == "cos":
        done_weight = math.sin(0.5 * math.pi * done) ** 2
        left_weight = math.sin(0.5 * math.pi * left) ** 2
    else:
        done_weight, left_weight = done, left
    from_start = start + (end - start) * done_weight
    from_end = end + (start - end) * left_weight
    return from_start if done <= left else from_end
