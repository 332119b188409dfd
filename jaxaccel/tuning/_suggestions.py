"""Which learning rate the curve of a range test suggests: as the field reads it, from numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Suggestions(NamedTuple):
    """Three readings of a curve; ``None`` where it has none."""

    valley: float | None
    steepest: float | None
    minimum: float | None


def suggestions(lrs: np.ndarray, losses: np.ndarray, planned: int) -> Suggestions:
    """Return what smoothed losses suggest, of which ``planned`` were to be taken.

    Each reading cuts off what whoever made it cuts off: fastai the first tenth of what was planned
    and the last five, Lightning the first ten and the last one.
    """
    fastais = slice(planned // 10, max(len(lrs) - 5, 0))
    lightnings = slice(10, max(len(lrs) - 1, 0))
    return Suggestions(
        valley(lrs[fastais], losses[fastais]),
        steepest(lrs[lightnings], losses[lightnings]),
        least(lrs[fastais], losses[fastais]),
    )


def steepest(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """Return where the loss falls fastest over the logarithm of the rate, which rises evenly."""
    if len(losses) < 2:
        return None
    slopes = np.gradient(losses)  # central differences
    found = int(np.argmin(slopes))
    return float(lrs[found]) if slopes[found] < 0 else None


def least(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """Return a tenth of the rate at which the loss is least, if it has fallen until there."""
    if not len(losses):
        return None
    found = int(np.argmin(losses))
    return float(lrs[found]) / 10 if losses[found] < losses[0] else None


def valley(lrs: np.ndarray, losses: np.ndarray) -> float | None:
    """Return the rate in the middle of the longest descent.

    That is the longest subsequence of falling losses, of several the first to end. As fastai counts
    it, it begins as many places before its end as it has entries, and the middle is one third and
    half of another one from there, each rounded down.
    """
    falls = np.ones(len(losses), int)
    for end in range(1, len(losses)):
        higher = losses[:end] > losses[end]
        falls[end] += np.max(falls[:end], initial=0, where=higher)
    if not len(losses) or falls.max() == 1:
        return None
    end = int(np.argmax(falls))
    start = end - int(falls[end])
    third = (end - start) / 3
    return float(lrs[max(start + int(third) + int(third / 2), 0)])
