"""The host's random streams in a save: as text, of every process that has another one."""

from __future__ import annotations

import base64
import warnings
from collections.abc import Mapping

import jax
import numpy as np

from jaxaccel.random import Generator
from jaxaccel.training._rng_state import set_rng_state


def as_text(found: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    """Return each stream as text, once where all processes have the same; all must call it."""
    rows = {name: part[None] for name, part in found.items()}
    if jax.process_count() > 1:
        from jax.experimental import multihost_utils

        rows = {name: multihost_utils.process_allgather(part) for name, part in found.items()}
    texts = {
        name: [base64.b64encode(np.asarray(row).tobytes()).decode() for row in part]
        for name, part in rows.items()
    }
    return {name: each[:1] if len({*each}) == 1 else each for name, each in texts.items()}


def set_from_text(texts: Mapping[str, list[str]], generator: Generator | None) -> None:
    """Have this process's streams go on from where they were when they were saved."""
    own, count = jax.process_index(), jax.process_count()
    others = sorted(name for name, each in texts.items() if len(each) not in (1, count))
    if others:
        warnings.warn(
            f"the run was saved by another number of processes, whose random streams {others} "
            f"differed, and is resumed by {count}: what is drawn from them is not what would have "
            "been; seed them alike (training.set_seed), or draw from one generator",
            stacklevel=2,
        )
    state = {
        name: np.frombuffer(
            base64.b64decode(each[own % len(each)]), np.uint8 if name == "generator" else np.uint32
        )
        for name, each in texts.items()
    }
    set_rng_state(state, generator)
