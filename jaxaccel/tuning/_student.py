"""Student's distribution: how far a mean of few numbers may be off."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def mean_and_margin(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return a mean, and how far the true one may be from it; of one number anywhere."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, math.inf
    of_mean = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, quantile(confidence, len(values) - 1) * of_mean


def quantile(confidence: float, freedom: int) -> float:
    """Return the t within which Student's variable is with a probability, to either side."""
    low, high = 0.0, math.pi / 2
    for _ in range(100):
        middle = (low + high) / 2
        if _within(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _within(angle: float, freedom: int) -> float:
    """Return the probability of being within ``tan(angle) * sqrt(freedom)`` to either side.

    Finite sums, for a whole number of degrees of freedom: Abramowitz and Stegun, 26.7.3 and 26.7.4.
    """
    cosine, is_odd = math.cos(angle), freedom % 2
    term, total = cosine**is_odd, 0.0
    for power in range(is_odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if is_odd else total
