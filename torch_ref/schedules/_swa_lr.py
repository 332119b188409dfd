"""SWALR."""

from __future__ import annotations

from typing import Any, Literal

from torch_ref.schedules._anneal import anneal
from torch_ref.schedules._inputs import known_lr, known_number
from torch_ref.schedules._schedule import (
    Curve,
    Group,
    Next,
    Schedule,
    Scheduler,
    Start,
    make_schedule,
)


def swa_lr(
    lr: float,
    swa_lr: float,
    anneal_epochs: int = 10,
    anneal_strategy: Literal["cos", "linear"] = "cos",
) -> Schedule:
    """Anneal the learning rate to a fixed one, for averaging weights there."""
    lr = known_lr(lr)
    swa_lr = known_number("swa_lr", swa_lr)
    if anneal_strategy not in ("cos", "linear"):
        raise ValueError(
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
        )
    if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
        raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")

    def between(first: Any, last: Any, k: int) -> Any:
        if anneal_epochs == 0:
            return last
        done = min(max(k, 0), anneal_epochs)
        left = (anneal_epochs - done) / anneal_epochs
        return anneal(anneal_strategy, first, last, done / anneal_epochs, left)

    def values(start: Start) -> Curve:
        return lambda k: between(start.lr, start.group.swa_lr, k)

    def next_lr(start: Start) -> Next:
        target: Any = start.group.swa_lr

        def step(k: int, lr: float) -> float:
            # PyTorch recovers the lr at the start from the one it finds, and anneals from there.
            share = between(1.0, 0.0, k - 1)
            arrived = share == 0.0 or anneal_epochs == 0
            first = target if arrived else (lr - (1.0 - share) * target) / share
            return between(first, target, k)

        return step

    return make_schedule(
        Scheduler(
            lr,
            values,
            next_lr,
            "affine",
            writes=Group(swa_lr=swa_lr),
            goes_on=True,
            counts_calls=True,
        )
    )
