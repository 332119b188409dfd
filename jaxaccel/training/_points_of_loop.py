"""What a step, its state and the loop's callbacks say of a setup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxaccel._keys import is_key
from jaxaccel.training._callback import Callback
from jaxaccel.training._early_stopping import early_stopping
from jaxaccel.training._log_every import log_every
from jaxaccel.training._points_of_rate import Said


def stops_early(callbacks: Sequence[Callback]) -> Said:
    """Say whether one of the callbacks is early stopping."""
    return _among(callbacks, early_stopping().name, "callbacks=[training.early_stopping()] of fit")


def logging(callbacks: Sequence[Callback]) -> Said:
    """Say whether one of the callbacks logs."""
    remedy = "callbacks=[training.log_every(log)] of fit; History has all numbers at the end"
    return _among(callbacks, log_every(lambda step, numbers: None).name, remedy)


def _among(callbacks: Sequence[Callback], name: str, remedy: str) -> Said:
    """Say whether a callback of that kind is there: its first word is that of the factory's."""
    names = [each.name for each in callbacks]
    found = [each for each in names if each.partition(" ")[0] == name.partition(" ")[0]]
    if found:
        return ", ".join(found), True, ""
    others = f"among the callbacks {', '.join(names)}" if names else "there is no callback"
    return f"not {others}" if names else others, False, remedy


def seeded(state: Any) -> Said:
    """Say whether the state has a key, from which its steps draw."""
    if any(map(is_key, jax.tree.leaves(state))):
        return "a key in the state; what weights and batches come from cannot be seen", True, ""
    return (
        "no key in the state: its steps draw nothing; weights and batches cannot be seen",
        None,
        "seeds = training.set_seed(42), the weights and batches from seeds.generator, and where "
        "the loss draws train_state(..., key=seeds.key)",
    )


def compiled(step: Any) -> Said:
    """Say whether the step is compiled: it can be lowered without being run."""
    if hasattr(step, "lowered") or hasattr(step, "lower"):
        return "one program", True, ""
    return "a Python function", False, "training.train_step(...), or jax.jit(step)"
