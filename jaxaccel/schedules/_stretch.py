"""Many steps of schedulers that multiply and add, without a Python loop over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Line = tuple[np.ndarray, np.ndarray]
"""Slopes and offsets: a step turns a learning rate into ``slope * lr + offset``."""

FEW = 1 << 12
"""Fewer steps are taken one by one."""
BLOCK = 1 << 7
AT_ONCE = 1 << 16
"""Steps whose lines stay in the processor's cache, a whole number of blocks."""


def take_steps(lines: Sequence[Line], lr: float) -> np.ndarray:
    """Return the learning rates after each step of ``lines``, which take turns in every step."""
    values = []
    for step in zip(*(part.tolist() for line in lines for part in line), strict=True):
        for slope, offset in zip(step[::2], step[1::2], strict=True):
            lr = slope * lr + offset
        values.append(lr)
    return np.array(values, np.float64)


def take_many_steps(lines: Sequence[Line], lr: float) -> np.ndarray:
    """Return what :func:`take_steps` does, but for the last places.

    The steps are cut into blocks that run side by side, once to see what a block makes of a
    learning rate, and again from the one that it then begins with.
    """
    steps = len(lines[0][0])
    blocks = [
        (_by_block(slopes, 1.0), _by_block(offsets, 0.0) if offsets.any() else None)
        for slopes, offsets in lines
    ]
    count = -(-steps // BLOCK)
    with np.errstate(all="ignore"):
        slope, offset = np.ones(count), np.zeros(count)
        for step in range(BLOCK):
            for slopes, offsets in blocks:
                slope *= slopes[step]
                offset *= slopes[step]
                if offsets is not None:
                    offset += offsets[step]
        found, now = np.empty((BLOCK, count)), np.empty(count)
        for block, (a, b) in enumerate(zip(slope.tolist(), offset.tolist(), strict=True)):
            now[block] = lr
            lr = a * lr + b
        for step in range(BLOCK):
            for slopes, offsets in blocks:
                now *= slopes[step]
                if offsets is not None:
                    now += offsets[step]
            found[step] = now
    return found.T.ravel()[:steps]


def _by_block(part: np.ndarray, fill: float) -> np.ndarray:
    """Return numbers as columns of one block each, the last one filled up."""
    padded = np.concatenate([part, np.full(-len(part) % BLOCK, fill)])
    return np.ascontiguousarray(padded.reshape(-1, BLOCK).T)
