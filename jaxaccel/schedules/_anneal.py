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
    weight = xp.minimum(done, left)
    if strategy == "cos":
        weight = xp.sin(0.5 * math.pi * weight) ** 2
    from_start, from_end = start + (end - start) * weight, end + (start - end) * weight
    return xp.where(done <= left, from_start, from_end)
