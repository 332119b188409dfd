"""What a schedule is: a curve, and what PyTorch's object reads and writes in the optimizer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from torch_ref.schedules._inputs import known_step

Curve: TypeAlias = Callable[[int], float]
"""``curve(k)``: the value at step ``k``."""

Schedule: TypeAlias = Callable[[int], float]
"""The value as a function of the number of finished ``scheduler.step()`` calls."""


class Group(NamedTuple):
    """The entries of ``optimizer.param_groups[0]`` through which schedulers meet."""

    initial_lr: float | None = None
    max_lr: float | None = None
    min_lr: float | None = None


class Start(NamedTuple):
    """How the optimizer stands when a scheduler takes its first step."""

    lr: Any
    """``group["lr"]``, from which its recursion goes on."""
    base_lr: Any
    """Its ``base_lrs``: ``group["initial_lr"]`` at the time it was constructed."""
    group: Group
    """The group when training starts, after all constructors."""
    depth: int = 0
    """The number of SequentialLR around it; all but the nearest have stepped it anew."""


class Scheduler(NamedTuple):
    """What PyTorch's scheduler object does, to the value and to the optimizer it is given."""

    curve: Curve
    """The values when it is alone with its optimizer."""
    begin: Callable[[Start], Curve]
    """The values when it shares its optimizer, as in ``sequential_lr``."""
    lr: float | None
    """What PyTorch takes from ``optimizer.lr``; None when it takes nothing."""
    writes: Group | None
    """What its constructor overwrites in the group; None when it overwrites nothing."""
    no_restart: str
    """Why it cannot start at a milestone; empty when it can."""


def make_schedule(
    begin: Callable[[Start], Curve],
    *,
    lr: float | None = None,
    writes: Group | None = None,
    no_restart: str = "",
) -> Schedule:
    """Return the schedule whose curves ``begin`` makes."""
    group = Group(initial_lr=lr) if writes is None else writes
    curve = begin(Start(lr=group.initial_lr, base_lr=lr, group=group))
    return functools.partial(_evaluate, Scheduler(curve, begin, lr, writes, no_restart))


def scheduler_of(schedule: Any) -> Scheduler | None:
    """Return what ``make_schedule`` put into a schedule; None for any other callable."""
    if isinstance(schedule, functools.partial) and schedule.func is _evaluate:
        return schedule.args[0]
    return None


def _evaluate(scheduler: Scheduler, step: Any, /) -> float:
    """Return the value of a schedule after ``step`` calls of ``scheduler.step()``."""
    return scheduler.curve(known_step(step))
