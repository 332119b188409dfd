"""Bins that share out an axis, what the adaptive pooling layers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def checked_output_size(
    name: str, axes: int, output_size: int | Sequence[int | None] | None
) -> tuple[int | None, ...]:
    """Return the output's size along each axis, None for the input's own, with PyTorch's texts."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * axes
    if len(sizes) != axes:
        raise ValueError(f"{name}: output_size must be {axes} numbers or one, got {output_size}")
    for size in sizes:
        if size is not None and not isinstance(size, int):
            raise TypeError(f"{name}: output_size must be made of ints and None, got {output_size}")
    if any(size is not None and size < 0 for size in sizes):
        raise ValueError(
            f"{name}: elements of output_size must be greater than or equal to 0 "
            f"but received {{{', '.join(map(str, sizes))}}}"
        )
    return sizes


def check_input(name: str, input: jax.Array, axes: int) -> None:
    """Raise unless the input has a batch axis and every axis but that has a length."""
    if input.ndim != axes + 2:
        raise ValueError(
            f"{name}(): Expected {axes + 1}D or {axes + 2}D tensor, but got {list(input.shape)}"
        )
    if 0 in input.shape[1:]:
        raise ValueError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, "
            f"but input has sizes {list(input.shape)}"
        )


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
