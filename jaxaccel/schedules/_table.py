"""Tables that are built in double precision and read at a step."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def read_table(xp: Any, values: np.ndarray, k: Any) -> Any:
    """Return the values at ``k``; beyond the end the last one."""
    if xp is not np:
        with np.errstate(over="ignore"):  # what float32 cannot hold is infinite
            values = xp.asarray(values.astype(jax.dtypes.canonicalize_dtype(float)))
    return values[xp.minimum(k, len(values) - 1)]


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
