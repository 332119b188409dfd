"""Tables that are built in double precision and read at a step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel.schedules._pieces import fit_pieces, read_pieces

LARGEST = 1 << 16
"""Bytes of the largest table that becomes part of a program as it is."""


def read_table(xp: Any, values: np.ndarray, k: Any) -> Any:
    """Return the values at ``k``; beyond the end the last one.

    A traced step reads a long table from polynomials of its pieces, where those take less.
    """
    index = xp.minimum(k, len(values) - 1)
    if xp is np:
        return values[index]
    dtype = jax.dtypes.canonicalize_dtype(float)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
        rounded = values.astype(dtype)
    if rounded.nbytes > LARGEST and np.isfinite(rounded).all():
        pieces = fit_pieces(values, dtype)
        if pieces.nbytes(dtype) < rounded.nbytes:
            return read_pieces(xp, pieces, index, dtype)
    return xp.asarray(rounded)[index]


def count_up_to(xp: Any, steps: np.ndarray, k: Any) -> Any:
    """Return how many of the rising ``steps`` are at most ``k``."""
    return xp.searchsorted(reachable(xp, steps, k), k, side="right")


def reachable(xp: Any, steps: np.ndarray, k: Any) -> Any:
    """Return those of the ``steps`` that the integer type of ``k`` can hold, in that type."""
    return xp.asarray(steps[steps <= jnp.iinfo(k.dtype).max], k.dtype)


def length_for(k: np.ndarray) -> int:
    """Return a table length that holds ``k``: a power of two, so that few are ever built."""
    return 1 << int(k.max(initial=0) + 1).bit_length()


def traced_length(name: str, total_steps: int | None) -> int:
    """Return the length of the table that traced steps read."""
    if total_steps is None:
        raise ValueError(
            f"{name} has no closed form here, and a traced step needs a table of its values: "
            "give total_steps, the number of steps of the training"
        )
    return total_steps + 1
