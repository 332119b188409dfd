"""Where a draw lands: PyTorch fills a tensor in the order of its memory, not of its indices."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

from jaxaccel._shapes import check_size

_CHANNELS_LAST = {"channels_last": 4, "channels_last_3d": 5}


class Layout(NamedTuple):
    """The shape of a draw and the order of its axes in memory."""

    shape: tuple[int, ...]
    order: tuple[int, ...]
    """The axes, the one with the largest stride first."""
    is_contiguous: bool
    """In row-major order without gaps, as ``torch.Tensor.is_contiguous`` means it."""
    is_dense: bool
    """Without gaps, in any order."""

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    def place(self, values: np.ndarray) -> np.ndarray:
        """Return values that come in memory order as an array of ``shape``."""
        ordered = values.reshape([self.shape[axis] for axis in self.order])
        return ordered.transpose(np.argsort(self.order))

    def like(self) -> Layout:
        """Return the layout of ``torch.empty_like``: the same order of axes, without gaps."""
        kept = [axis for axis in self.order if self.shape[axis] != 1]
        return self._replace(is_dense=True, is_contiguous=kept == sorted(kept))


def layout_of(shape: Any, memory_format: str = "contiguous", strides: Any = None) -> Layout:
    """Return the layout that a shape and PyTorch's memory format or element strides describe.

    Raises:
        TypeError: the shape is not made of integers.
        ValueError: a negative size, an unknown memory format, or strides that do not fit the
            shape or let two elements share their memory.
        RuntimeError: a memory format of another rank.
    """
    try:
        given = (shape,) if np.ndim(shape) == 0 else shape
        shape = tuple(operator.index(size) for size in given)
    except TypeError:
        raise TypeError(f"shape must be a tuple of integers, got {shape!r}") from None
    if any(size < 0 for size in shape):
        raise ValueError(f"shape must not have a negative size, got {shape}")
    check_size("shape", shape)
    axes = tuple(range(len(shape)))
    if strides is not None:
        return _strided(shape, tuple(strides), memory_format)
    if memory_format == "contiguous":
        return Layout(shape, axes, True, True)
    if memory_format not in _CHANNELS_LAST:
        raise ValueError(
            f"memory_format must be 'contiguous', 'channels_last' or 'channels_last_3d', "
            f"got {memory_format!r}"
        )
    rank = _CHANNELS_LAST[memory_format]
    if len(shape) != rank:
        raise RuntimeError(
            f"required rank {rank} tensor to use {memory_format} format, got shape {shape}"
        )
    return Layout(shape, (0, *axes[2:], 1), False, True).like()


def _strided(shape: tuple[int, ...], strides: tuple[int, ...], memory_format: str) -> Layout:
    if memory_format != "contiguous":
        raise ValueError(f"give memory_format or strides, got {memory_format!r} and {strides}")
    if len(strides) != len(shape):
        raise ValueError(f"strides must have one number for each axis of {shape}, got {strides}")
    # An axis of one element has no stride that matters, and an empty array no order.
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    reach = 0
    for axis in reversed(order):
        if shape[axis] == 1 or 0 in shape:
            continue
        if strides[axis] <= reach:
            raise ValueError(
                f"strides must leave each element its own memory, got {strides} for {shape}"
            )
        reach += strides[axis] * (shape[axis] - 1)
    is_dense = 0 in shape or reach == math.prod(shape) - 1
    layout = Layout(shape, tuple(order), False, is_dense)
    return layout.like() if is_dense else layout
