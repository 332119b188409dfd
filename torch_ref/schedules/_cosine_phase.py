"""Where a step is on a cosine of any number of cycles."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from torch_ref.schedules._inputs import known_number


def known_cycles(num_cycles: Any) -> float:
    """Return a number of cycles, finite and at least 0, as a float."""
    known = known_number("num_cycles", num_cycles)
    if not 0.0 <= known < math.inf:
        raise ValueError(f"num_cycles must be finite and at least 0, got {num_cycles!r}")
    return known


def cosine_phase(k: int, num_cycles: float, length: int) -> tuple[float, float]:
    """Return the distances of step ``k`` from the nearest crest and from the nearest trough.

    Python's integers never wrap around: the cycles are counted in fractions.
    """
    from_crest = Fraction(num_cycles) * k / length % 1
    half = Fraction(1, 2)

    def distance(turned: Fraction) -> float:
        return float(2 * min(turned, 1 - turned))

    return distance(from_crest), distance((from_crest + half) % 1)
