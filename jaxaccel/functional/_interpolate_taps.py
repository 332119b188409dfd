"""Interpolation along one axis: which points of the input make a point of the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._math import compute_dtype

_CUBIC_A = -0.75
"""The coefficient of the cubic kernel that PyTorch (and OpenCV) takes; Pillow's is -0.5."""


class Taps(NamedTuple):
    """The points of the input that make each point of the output, and their weights."""

    points: np.ndarray
    """(taps, output size), of integers."""
    weights: np.ndarray | None
    """(taps, output size), in double; None where a single point is taken as it is."""


def nearest_taps(
    length: int, size: int, scale_factor: float | None, exact: bool, dtype: Any
) -> Taps:
    """Return one tap for each point: the one below (``nearest``), or the one that is nearest.

    Rounding decides where a position falls on the edge between two points. So positions are
    computed in ``dtype``, as PyTorch does, and rounded to float32 before the next lower integer.
    """
    number = np.dtype(dtype).type
    ratio = number(1 / scale_factor) if scale_factor else number(length) / number(size)
    position = np.arange(size).astype(dtype) * ratio
    if exact:
        half = number(0.5)
        position = np.maximum((np.arange(size).astype(dtype) + half) * ratio - half, 0) + half
    index = np.floor(position.astype(np.float32)).astype(int)
    return Taps(np.minimum(index, length - 1)[None], None)


def linear_taps(length: int, size: int, scale_factor: float | None, align_corners: bool) -> Taps:
    """Return the two neighbours of each point; beyond the edges lies the edge."""
    position = np.maximum(_positions(length, size, scale_factor, align_corners), 0)
    if length == size:  # PyTorch copies, whatever the scale factor
        position = np.arange(size)
    below = np.minimum(np.floor(position).astype(int), length - 1)
    part = np.clip(position - below, 0, 1)
    index = np.stack([below, np.minimum(below + 1, length - 1)])
    return Taps(index, np.stack([1 - part, part]))


def cubic_taps(length: int, size: int, scale_factor: float | None, align_corners: bool) -> Taps:
    """Return the four neighbours of each point; beyond the edges lies the edge."""
    position = _positions(length, size, scale_factor, align_corners)
    below = np.minimum(np.floor(position).astype(int), length - 1)
    part = np.clip(position - below, 0, 1)
    index = np.stack([below + offset for offset in (-1, 0, 1, 2)])
    return Taps(np.clip(index, 0, length - 1), np.stack(cubic_weights(part)))


def cubic_weights(part: Any) -> list[Any]:
    """Return the weights of the four neighbours of a point ``part`` of the way to the third."""

    def near(x: Any) -> Any:
        return ((_CUBIC_A + 2) * x - (_CUBIC_A + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((_CUBIC_A * x - 5 * _CUBIC_A) * x + 8 * _CUBIC_A) * x - 4 * _CUBIC_A

    return [far(part + 1), near(part), near(1 - part), far(2 - part)]


def _positions(
    length: int, size: int, scale_factor: float | None, align_corners: bool
) -> np.ndarray:
    """Return where each point of the output lies among the points of the input."""
    index = np.arange(size)
    if align_corners:
        return index * ((length - 1) / (size - 1) if size > 1 else 0.0)
    ratio = 1 / scale_factor if scale_factor else length / size
    return ratio * (index + 0.5) - 0.5


def times_in_a_row(taps: Taps, length: int) -> int | None:
    """Return how many times each point is taken in a row, if all are, as often, and as they are."""
    index = taps.points[0]
    times = len(index) // length
    is_repeated = taps.weights is None and times and len(index) == times * length
    return times if is_repeated and (index == np.arange(len(index)) // times).all() else None


def repeated(x: jax.Array, times: Sequence[int]) -> jax.Array:
    """Return the points of (N, ..., C), each so many times in a row along its axes.

    A broadcast, whose gradient is a sum: of half precision in float32, in one pass, where that of
    points that are looked up would be scattered.
    """
    rows, *spatial, channels = x.shape
    apart = [size for length in spatial for size in (length, 1)]
    wide = [size for pair in zip(spatial, times, strict=True) for size in pair]
    grown = [length * count for length, count in zip(spatial, times, strict=True)]
    dtype = compute_dtype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype
    split = x.astype(dtype).reshape(rows, *apart, channels)
    spread = jnp.broadcast_to(split, (rows, *wide, channels)).astype(x.dtype)
    return spread.reshape(rows, *grown, channels)


def apply_taps(x: jax.Array, axis: int, taps: Taps) -> jax.Array:
    """Return the points of the output along an axis, in the dtype of ``x``."""
    points = (jnp.take(x, index, axis, mode="clip") for index in taps.points)
    if taps.weights is None:
        return next(points)
    others = [i for i in range(x.ndim) if i != axis]
    weights = (np.expand_dims(weight, others).astype(x.dtype) for weight in taps.weights)
    total = next(points) * next(weights)
    for point, weight in zip(points, weights, strict=True):
        total = total + point * weight
    return total
