"""The bytes of a generator's state, in the layout of PyTorch's ``CPUGeneratorImplState``."""

from __future__ import annotations

from typing import Any

import numpy as np

WORDS = 624
"""The words of the Mersenne Twister that are computed at a time."""

STATE = np.dtype(
    [
        ("seed", "<u8"),
        ("left", "<i4"),
        ("seeded", "<i4"),
        ("next", "<u8"),
        ("words", "<u8", WORDS),
        ("normal_x", "<f8"),
        ("normal_y", "<f8"),
        ("normal_rho", "<f8"),
        ("normal_is_valid", "<i4"),
        ("padding", "<i4"),
        ("next_float", "<f4"),
        ("next_float_is_valid", "<i4"),
    ]
)
"""5056 bytes. ``left`` words are unused (and 1 where all are used), ``next`` is the next to use."""


def pack(
    seed: int,
    words: np.ndarray,
    used: int,
    next_normal: float | None,
    next_float: float | None,
) -> np.ndarray:
    """Return the bytes of a state; ``used`` words of the current block are used, 0 of a seed's."""
    state = np.zeros((), STATE)
    state["seed"], state["seeded"], state["words"] = seed, 1, words
    state["next"], state["left"] = used, WORDS + 1 - used if used else 1
    if next_normal is not None:
        state["normal_y"], state["normal_is_valid"] = next_normal, 1
    if next_float is not None:
        state["next_float"], state["next_float_is_valid"] = next_float, 1
    return np.frombuffer(state.tobytes(), np.uint8).copy()


def unpack(state: Any) -> np.void:
    """Return the fields of a state.

    Raises:
        TypeError: the state is not made of bytes.
        RuntimeError: it has another length, or no generator is ever in it.
    """
    given = np.asarray(state)
    if given.dtype != np.uint8:
        raise TypeError(f"RNG state must be a torch.ByteTensor (uint8), got dtype {given.dtype}")
    if given.size != STATE.itemsize:
        raise RuntimeError(
            f"Expected a CPUGeneratorImplState of size {STATE.itemsize} but found the input RNG "
            f"state size to be {given.size}"
        )
    fields = np.frombuffer(given.tobytes(), STATE)[0]
    left, used = int(fields["left"]), int(fields["next"])
    consistent = (left, used) == (1, 0) or 0 < used == WORDS + 1 - left
    if fields["seeded"] != 1 or not consistent:
        raise RuntimeError("Invalid mt19937 state")
    return fields
