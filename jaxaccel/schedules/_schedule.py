"""What a schedule is: values, and what PyTorch's object does to the optimizer that it shares."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._types import Schedule
from jaxaccel.schedules._inputs import known_steps

Curve: TypeAlias = Callable[[Any, Any], Any]
"""``curve(xp, k)``: the values at the integer steps ``k``, computed with NumPy or jax.numpy."""

Next: TypeAlias = Callable[[Any, Any, Any], Any]
"""``next(xp, k, lr)``: PyTorch's chainable step, from the lr that its own step ``k`` finds."""


class Group(NamedTuple):
    """The entries of ``optimizer.param_groups[0]`` through which schedulers meet."""

    lr: float | None = None
    initial_lr: float | None = None
    max_lr: float | None = None
    min_lr: float | None = None
    swa_lr: float | None = None


class Start(NamedTuple):
    """How a scheduler finds the optimizer at its own step 0."""

    lr: Any
    """``group["lr"]``."""
    base_lr: Any
    """Its ``base_lrs``: ``group["initial_lr"]`` at the time it was constructed."""
    group: Group
    """The rest of the group, after all constructors."""
    entry: Literal["constructor", "sequence", "milestone"] = "constructor"
    """Who takes step 0: its own constructor, that of its sequence, or ``_update_lr(0)``."""

    @property
    def origin(self) -> Any:
        """The lr that a closed form starts from: at a milestone PyTorch goes back to base_lr."""
        return self.base_lr if self.entry == "milestone" else self.lr


class Scheduler(NamedTuple):
    """What PyTorch's scheduler object does, to the value and to the optimizer it is given."""

    lr: float | None
    """What PyTorch takes from ``optimizer.lr``; None when it takes nothing."""
    values: Callable[[Start], Curve]
    """The closed form from its own step 0 on, when nobody else touches the lr."""
    next: Callable[[Start], Next]
    """The chainable step, when others do."""
    kind: Literal["absolute", "factor", "affine"]
    """Whether a step sets the lr whatever it was, multiplies it, or does a bit of both."""
    writes: Group = Group()
    """What its constructor overwrites in the group."""
    last_step: float = math.inf
    """The last own step that PyTorch can take."""
    no_restart: str = ""
    """Why it cannot start at a milestone; empty when it can."""
    goes_on: bool = False
    """Whether at a milestone it goes on from the lr that it finds."""
    counts_calls: bool = False
    """Whether its own step is the number of calls, which nesting does not undo."""
    fractional: bool = False
    """Whether a step may be a fraction."""


def factor_schedule(lr: float, factor: Curve, ratio: Curve, **facts: Any) -> Schedule:
    """Return ``lr * factor(k)``, which PyTorch reaches by multiplying by ``ratio(k)`` at step k."""
    return make_schedule(
        Scheduler(
            lr,
            lambda start: lambda xp, k: start.origin * factor(xp, k),
            multiplied_by(ratio),
            "factor",
            **facts,
        )
    )


def multiplied_by(ratio: Curve) -> Callable[[Start], Next]:
    """Return the chainable step that multiplies."""
    return lambda start: lambda xp, k, lr: lr * ratio(xp, k)


def absolute_schedule(
    values: Callable[[Start], Curve], lr: float | None = None, **facts: Any
) -> Schedule:
    """Return a schedule whose value does not depend on the lr that a step finds."""

    def next_value(start: Start) -> Next:
        curve = values(start)
        return lambda xp, k, lr: curve(xp, k)

    return make_schedule(Scheduler(lr, values, next_value, "absolute", **facts))


def multiple_of_base(lr: float, factor: Curve) -> Schedule:
    """Return ``base_lr * factor(k)``: what PyTorch's LambdaLR is."""
    return absolute_schedule(lambda start: lambda xp, k: start.base_lr * factor(xp, k), lr)


def make_schedule(scheduler: Scheduler) -> Schedule:
    """Return the schedule of a scheduler that is alone with its optimizer."""
    group = constructed(Group(lr=scheduler.lr), scheduler)
    curve = scheduler.values(Start(group.lr, group.initial_lr, group))
    return functools.partial(_evaluate, curve, scheduler, scheduler.fractional)


def joint_schedule(curve: Curve, joint: Any) -> Schedule:
    """Return the schedule of several schedulers together, which ``joint`` describes."""
    return functools.partial(_evaluate, curve, joint, False)


def scheduler_of(schedule: Any) -> Any:
    """Return what stands behind a schedule of this library; None for any other callable."""
    if isinstance(schedule, functools.partial) and schedule.func is _evaluate:
        return schedule.args[1]
    return None


def constructed(group: Group, scheduler: Scheduler) -> Group:
    """Return the group after the scheduler's constructor, but for the lr of its first step."""
    writes = scheduler.writes._asdict().items()
    group = group._replace(**{name: value for name, value in writes if value is not None})
    return group if group.initial_lr is not None else group._replace(initial_lr=group.lr)


def _evaluate(curve: Curve, scheduler: Any, fractional: bool, step: Any, /) -> Any:
    """Return the value of a schedule after ``step`` calls of ``scheduler.step()``."""
    del scheduler
    if isinstance(step, jax.Array):
        if jnp.issubdtype(step.dtype, jnp.integer):
            return curve(jnp, step.astype(int))
        if fractional and jnp.issubdtype(step.dtype, jnp.floating):
            return curve(jnp, step.astype(float))
        raise TypeError(f"step must be an integer or an array of integers, got {step!r}")
    with np.errstate(over="ignore"):  # a rate that grows for long becomes infinite, as in PyTorch
        values = np.asarray(curve(np, known_steps(step, fractional)))
    return float(values) if values.ndim == 0 else values
