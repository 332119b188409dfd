"""From one value to another, exact at both ends in any precision."""

from __future__ import annotations

import math
from typing import Any


def anneal(xp: Any, strategy: str, start: Any, end: Any, done: Any, left: Any) -> Any:
    """Return the value ``done`` of the way from ``start`` to ``end``; ``done + left`` is 1.

    The value is measured from the nearer end, and the cosine's ``(1 - cos) / 2`` is ``sin**2``:
    neither subtracts two nearly equal numbers, so a tiny value keeps its digits in float32.
    Past either end the curve goes on (the cosine swings back, the line stays straight).
    """
    if strategy == "cos":
        done_weight = xp.sin(0.5 * math.pi * done) ** 2
        left_weight = xp.sin(0.5 * math.pi * left) ** 2
    else:
        done_weight, left_weight = done, left
    from_start = start + (end - start) * done_weight
    from_end = end + (start - end) * left_weight
    return xp.where(done <= left, from_start, from_end)
