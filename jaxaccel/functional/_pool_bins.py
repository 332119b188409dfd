"""Bins that share out an axis, what the adaptive pools are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._shapes import check_size


def check_input(name: str, input: jax.Array, axes: int, sizes: Sequence[int | None]) -> None:
    """Raise unless every axis of the input but the batch's has a length, and the output room."""
    if input.ndim <= axes and axes > 1:
        raise ValueError(f"Input dimension should be at least {axes + 1}, got {[*input.shape]}")
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"{name}(): Expected {axes + 1}D or {axes + 2}D tensor, but got {list(input.shape)}"
        )
    if 0 in input.shape[-axes - 1 :]:
        raise ValueError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, "
            f"but input has sizes {list(input.shape)}"
        )
    lengths = [n or length for n, length in zip(sizes, input.shape[-axes - 1 :], strict=False)]
    check_size("output_size", lengths)


def bin_counts(length: int, size: int) -> np.ndarray:
    """Return how many points each bin holds."""
    start, stop = _edges(length, size)
    return stop - start


def split_bins(x: jax.Array, axis: int, size: int, fill: Any) -> jax.Array:
    """Split an axis into ``size`` bins and their points; where a bin has fewer, with ``fill``."""
    length = x.shape[axis]
    if size > 0 and length % size == 0:
        return x.reshape(*x.shape[:axis], size, length // size, *x.shape[axis + 1 :])
    start, stop = (edge[:, None] for edge in _edges(length, size))
    index = start + np.arange((stop - start).max(initial=1))
    points = jnp.take(x, np.minimum(index, length - 1), axis, mode="clip")
    inside = np.expand_dims(
        index < stop, [i for i in range(points.ndim) if i not in (axis, axis + 1)]
    )
    return jnp.where(inside, points, jnp.asarray(fill, x.dtype))


def _edges(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the bins start and stop: they overlap by a point where they do not come out."""
    index = np.arange(size)
    start = index * length // max(size, 1)
    stop = -(-(index + 1) * length // max(size, 1))
    return start, stop
