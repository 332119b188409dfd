"""Where a step is on a cosine of any number of cycles."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from jaxaccel.schedules._inputs import known_number


def known_cycles(num_cycles: Any) -> float:
    """Return a number of cycles, finite and at least 0, as a float."""
    known = known_number("num_cycles", num_cycles)
    if not 0.0 <= known < math.inf:
        raise ValueError(f"num_cycles must be finite and at least 0, got {num_cycles!r}")
    return known


def cosine_phase(xp: Any, k: Any, num_cycles: float, length: int) -> tuple[Any, Any]:
    """Return the distances of step ``k`` from the nearest crest and from the nearest trough.

    The cosine has ``num_cycles`` cycles in ``length`` steps, begins at a crest and never ends.
    Distances are shares of the way from crest to trough. The cycles are counted in fixed point,
    with as many binary places as an integer has bits: an integer product that wraps around has
    dropped whole cycles and nothing else. Each distance is exact where it is small.
    """
    bits = 8 * k.dtype.itemsize
    half = 2 ** (bits - 1)
    rate = Fraction(num_cycles) / length * 2**bits
    whole = math.floor(rate)
    from_crest = xp.multiply(k, (whole + half) % (2 * half) - half)
    beyond_places = k.astype(float) * (float(rate - whole) / half)

    def distance(turned: Any) -> Any:
        return abs(turned.astype(float) / float(half) + beyond_places)

    return distance(from_crest), distance(xp.add(from_crest, -half))
