"""A long table as polynomials of pieces of it, so that a compiled step holds kilobytes.

Learning rates are smooth but for a few jumps and corners: pieces are halved until a polynomial of
each gives every value of its piece, computed in the precision of the program.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

_NODES = 8
"""Values of a piece that its polynomial goes through, and so its coefficients."""
_LONGEST = 1 << 14
_OF_VALUE = {4: 2.0**-20, 8: 2.0**-41}
"""The error allowed of a value, by the bytes of its type. Recursions are not smoother than this."""
_OF_PEAK = 2.0**-10
"""The share of the largest value that is never too small for that."""


class Pieces(NamedTuple):
    """Polynomials in the place within each piece, of which the middle is 0 and the end 1."""

    starts: np.ndarray
    lengths: np.ndarray
    coefficients: np.ndarray
    """(pieces, ``_NODES``), the lowest power first."""
    least: float
    """No value is below it, so that a polynomial's error never makes a rate of 0 negative."""

    def nbytes(self, dtype: Any) -> int:
        """Return what the pieces take in a program, the counts in 32 bits."""
        return self.coefficients.size * np.dtype(dtype).itemsize + 8 * self.starts.size


def fit_pieces(values: np.ndarray, dtype: Any) -> Pieces:
    """Return polynomials of finite values, exact to ``dtype``'s last places."""
    length = min(_LONGEST, 1 << max(len(values) - 1, 1).bit_length())
    starts = np.arange(0, len(values), length)
    padded = np.concatenate([values, np.full(-len(values) % length, values[-1])])
    least = _OF_PEAK * np.abs(values).max()
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    while starts.size:
        inside = padded[starts[:, None] + np.arange(length)]
        coefficients, is_fit = _fit(inside, least, np.dtype(dtype))
        found.append((starts[is_fit], np.full(is_fit.sum(), length), coefficients[is_fit]))
        length //= 2
        halved = starts[~is_fit]
        starts = np.stack([halved, halved + length], 1).ravel()
        starts = starts[starts < len(values)]
    every = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    order = np.argsort(every[0])
    return Pieces(*(part[order] for part in every), least=float(values.min()))


def read_pieces(xp: Any, pieces: Pieces, k: Any, dtype: Any) -> Any:
    """Return the values at the integers ``k``, which are within the table."""
    integer = k.dtype
    index = xp.searchsorted(xp.asarray(pieces.starts, integer), k, side="right") - 1
    start = xp.asarray(pieces.starts, integer)[index]
    length = xp.asarray(pieces.lengths, integer)[index]
    place = (2 * (k - start) - length).astype(dtype) / length.astype(dtype)
    coefficients = xp.asarray(pieces.coefficients, dtype)[index]
    value = coefficients[..., -1]
    for power in reversed(range(_NODES - 1)):
        value = value * place + coefficients[..., power]
    return xp.maximum(value, xp.asarray(pieces.least, dtype))


def _fit(inside: np.ndarray, least: float, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the coefficients of each row's polynomial, and whether it gives the row's values."""
    nodes, through, powers = _bases(inside.shape[1], dtype)
    coefficients = np.zeros((len(inside), _NODES))
    coefficients[:, : len(nodes)] = inside[:, nodes] @ through
    error = np.abs((coefficients[:, : len(nodes)].astype(dtype) @ powers).astype(float) - inside)
    bound = _OF_VALUE[dtype.itemsize] * np.maximum(np.abs(inside), least)
    # However the sum is rounded, its terms are not much larger than it.
    rounding = 2 * np.finfo(dtype).eps * np.abs(coefficients).sum(axis=1)
    return coefficients, (error <= bound).all(axis=1) & (rounding <= bound.min(axis=1))


@functools.cache
def _bases(length: int, dtype: np.dtype[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nodes of a piece, what makes coefficients of their values, and all powers."""
    count = min(length, _NODES)
    # Close together at the ends, as Chebyshev's are: a polynomial then strays little in between.
    waves = 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / max(count - 1, 1))
    nodes = np.arange(count) if length == count else np.round(waves * (length - 1)).astype(int)
    places = (2 * np.arange(length) - length) / length
    powers = np.cumprod(np.stack([np.ones(length), *[places] * (count - 1)]), axis=0)
    return nodes, np.linalg.inv(powers[:, nodes]), powers.astype(dtype)
