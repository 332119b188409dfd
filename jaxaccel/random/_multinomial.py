"""Draws of category numbers."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from jaxaccel.random._dtypes import FLOATING, rounded, scalar_type
from jaxaccel.random._exponential import exponential
from jaxaccel.random._topk import topk
from jaxaccel.random._uniform import unit64

_MOST_CATEGORIES = 1 << 24


def multinomial(
    generator: Any, probabilities: Any, num_samples: int, replacement: bool = False
) -> np.ndarray:
    """Draw categories with given probabilities.

    Without replacement, or for one sample: the largest ratios of a probability to an exponential
    number. With replacement: the first category at which the sum of the normalized probabilities
    reaches a uniform number.

    Args:
        probabilities: Weights of the categories, at least 0; they need no sum of 1. A vector, or a
            matrix with one distribution in each row; float32 or another floating-point dtype.
        num_samples: How many categories to draw from each distribution.
        replacement: Whether a category can be drawn twice.

    Returns:
        int64 of shape ``(num_samples,)`` or ``(rows, num_samples)``.

    Raises:
        TypeError: ``num_samples`` is not an integer.
        RuntimeError: The weights are not a distribution, or have another rank or dtype;
            ``num_samples`` is not positive, or above the number of categories without
            replacement; JAX is tracing.

    PyTorch:
        ``torch.multinomial``: the same numbers in the same order, for a tensor that is contiguous.
        Equal ratios are common in bfloat16 only, and where more samples are asked for than there
        are weights above 0; they come in PyTorch's order, which is that of GCC's library.

    Example:
        >>> import jaxaccel as ja
        >>> import numpy as np
        >>> weights = np.asarray([0.0, 10.0, 3.0, 1.0], np.float32)
        >>> ja.random.manual_seed(0).multinomial(weights, 3)
        array([1, 2, 3])
    """
    weights = np.asarray(probabilities, order="C")
    try:
        count = operator.index(num_samples)
    except TypeError:
        raise TypeError(
            "multinomial(): argument 'num_samples' (position 2) must be int, not "
            f"{type(num_samples).__name__}"
        ) from None
    _check_sizes(weights, count, replacement)
    rows = weights.reshape(-1, weights.shape[-1])
    one_by_one = replacement and count > 1
    if rows.size:
        (_check_each if one_by_one else _check_together)(rows)
    drawn = np.empty((len(rows), count), np.int64)
    if rows.size:
        drawn[...] = (_searched if one_by_one else _largest)(generator, rows, count)
    return drawn.reshape(*weights.shape[:-1], count)


def _check_sizes(weights: np.ndarray, count: int, replacement: bool) -> None:
    if weights.ndim not in (1, 2):
        raise RuntimeError(f"prob_dist must be 1 or 2 dim, got shape {weights.shape}")
    scalar = scalar_type(weights.dtype)
    if scalar.name not in FLOATING:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {scalar.name}"
        )
    if count <= 0:
        raise RuntimeError(f"cannot sample n_sample <= 0 samples, got {count}")
    categories = weights.shape[-1]
    if count > categories and (not replacement or categories == 0):
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement, "
            f"got {count} of {categories}"
        )
    if categories > _MOST_CATEGORIES:
        raise RuntimeError(f"number of categories cannot exceed 2^24, got {categories}")


def _check_together(rows: np.ndarray) -> None:
    if not ((rows >= 0) & (rows < np.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    _check_sums(rows)


def _check_each(rows: np.ndarray) -> None:
    if not (rows >= 0).all():
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.isfinite(rows).all():
        raise RuntimeError(
            "invalid multinomial distribution (encountering probability entry = infinity or NaN)"
        )
    _check_sums(rows)


def _check_sums(rows: np.ndarray) -> None:
    if not (rows > 0).any(axis=1).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _largest(generator: Any, rows: np.ndarray, count: int) -> np.ndarray:
    """Draw without replacement."""
    ratios = exponential(generator, rows.shape, 1.0, rows.dtype)
    with np.errstate(all="ignore"):
        np.divide(rows, ratios, out=ratios)
    if count == 1:
        return np.argmax(ratios, axis=1, keepdims=True)
    return np.stack([topk(row, count) for row in ratios])


def _searched(generator: Any, rows: np.ndarray, count: int) -> np.ndarray:
    """Draw with replacement; the sums run from left to right, in at least float32."""
    wide = rounded(rows, np.dtype(np.float32)) if rows.dtype.itemsize == 2 else rows
    with np.errstate(all="ignore"):
        sums = np.cumsum(wide, axis=1, dtype=wide.dtype)
        sums /= sums[:, -1:].copy()
    numbers = unit64(generator.words64(len(rows) * count)).reshape(-1, count)
    pairs = zip(sums.astype(np.float64), numbers, strict=True)
    return np.stack([np.searchsorted(row, sought) for row, sought in pairs])
