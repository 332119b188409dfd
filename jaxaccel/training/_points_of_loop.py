"""What a step, its state and the loop's callbacks say of a setup."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxaccel._keys import is_key
from jaxaccel.training._callback import Callback
from jaxaccel.training._points_of_rate import Said
from jaxaccel.training._step_call import without_given


def stops_early(callbacks: Sequence[Callback]) -> Said:
    """Say whether one of the callbacks is early stopping."""
    return _among(callbacks, "early stopping", "callbacks=[training.early_stopping()] of fit")


def logging(callbacks: Sequence[Callback]) -> Said:
    """Say whether one of the callbacks logs."""
    remedy = "callbacks=[training.log_every(log)] of fit; History has all numbers at the end"
    return _among(callbacks, "logging", remedy)


def _among(callbacks: Sequence[Callback], purpose: str, remedy: str) -> Said:
    """Say whether one of the callbacks says that it is for that."""
    names = [each.name for each in callbacks]
    found = [each.name for each in callbacks if each.purpose == purpose]
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
    step = without_given(step)
    if hasattr(step, "lowered") or hasattr(step, "lower"):
        return "one program", True, ""
    return "a Python function", False, "training.train_step(...), or jax.jit(step)"
