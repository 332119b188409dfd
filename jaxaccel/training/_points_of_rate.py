"""The learning rate of a setup, as far as it can be seen, and what is said of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from jaxaccel._math import value_at
from jaxaccel.optimizers import get_hyperparams, has_hyperparams
from jaxaccel.schedules import preview

Said = tuple[str, bool | None, str]
"""What was found, whether the point is there, and the remedy."""

USUAL = (1e-5, 1e-2)
SAY_IT = (
    "give checklist the schedule, lr=, or an optimizer that keeps it in its state, "
    "tx=optimizers.param_groups(...)"
)


class Rates(NamedTuple):
    """Learning rates at the first steps, or at one."""

    values: np.ndarray | None
    """``None``: they cannot be seen."""
    is_curve: bool
    """Whether they are of all steps, and not only what the state holds now."""


def rates_of(state: Any, tx: Any, lr: Any, total_steps: int) -> Rates:
    """Return the learning rates that can be seen: those that are said, else the optimizer's."""
    if lr is not None:
        values = [float(value_at(lr, step, "lr")) for step in range(total_steps)]
        return Rates(np.array(values), True)
    if tx is not None and has_hyperparams(tx.init(np.zeros(1, np.float32))):
        return _of_groups(preview(tx, total_steps).groups, True)
    if has_hyperparams(state):
        return _of_groups(get_hyperparams(state), False)
    return Rates(None, False)


def _of_groups(groups: Any, is_curve: bool) -> Rates:
    """Return the rates of the last group, which is the default."""
    held = [group[name] for group in groups for name in ("lr", "learning_rate") if name in group]
    return Rates(np.atleast_1d(held[-1]) if held else None, is_curve)


def learning_rate(rates: Rates) -> Said:
    """Say whether the largest rate is a usual one."""
    if rates.values is None:
        return "the optimizer keeps it to itself", None, SAY_IT
    largest = float(rates.values.max())
    found = f"at most {largest:.3g}" if rates.is_curve else f"{largest:.3g} now"
    if USUAL[0] <= largest <= USUAL[1]:
        return found, True, ""
    return (
        f"{found}, outside of {USUAL[0]:g} to {USUAL[1]:g}",
        False,
        "start with 1e-4 (Adam; SGD takes more), and look for it with tuning.lr_find",
    )


def warmup(rates: Rates) -> Said:
    """Say whether the rate begins below its largest."""
    if rates.values is None or not rates.is_curve:
        return "the schedule cannot be seen", None, SAY_IT
    top = int(rates.values.argmax())
    if rates.values[0] < rates.values[top]:
        return f"from {rates.values[0]:.3g} to {rates.values[top]:.3g} at step {top}", True, ""
    return (
        f"begins with its largest, {rates.values[0]:.3g}",
        False,
        "lr=schedules.linear_schedule_with_warmup(...), cosine_schedule_with_warmup(...) or "
        "one_cycle_lr(...)",
    )
