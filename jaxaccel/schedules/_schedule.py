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
from jaxaccel.schedules._inputs import any_traced, fitting_steps, known_steps, traced_steps

Curve: TypeAlias = Callable[[Any, Any], Any]
"""``curve(xp, k)``: the values at the integer steps ``k``, computed with NumPy or jax.numpy."""

Next: TypeAlias = Callable[[Any, Any, Any], Any]
"""``next(xp, k, lr)``: PyTorch's chainable step, from the lr that its own step ``k`` finds."""


class Group(NamedTuple):
    """The entries of ``optimizer.param_groups[0]`` through which schedulers meet.

    Numbers, traced ones among them; None for what nobody has written.
    """

    lr: Any = None
    initial_lr: Any = None
    max_lr: Any = None
    min_lr: Any = None
    swa_lr: Any = None


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

    lr: Any
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
    is_traced: bool = False
    """Whether one of its numbers is traced, so that its values are too."""


def factor_schedule(lr: Any, factor: Curve, ratio: Curve, **facts: Any) -> Schedule:
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


def absolute_schedule(values: Callable[[Start], Curve], lr: Any = None, **facts: Any) -> Schedule:
    """Return a schedule whose value does not depend on the lr that a step finds."""

    def next_value(start: Start) -> Next:
        curve = values(start)
        return lambda xp, k, lr: curve(xp, k)

    return make_schedule(Scheduler(lr, values, next_value, "absolute", **facts))


def multiple_of_base(lr: Any, factor: Curve, *numbers: Any) -> Schedule:
    """Return ``base_lr * factor(k)``: what PyTorch's LambdaLR is.

    ``numbers``: what ``factor`` is made of and may be traced.
    """
    is_traced = any_traced(lr, *numbers)
    return absolute_schedule(
        lambda start: lambda xp, k: start.base_lr * factor(xp, k), lr, is_traced=is_traced
    )


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


def holds_traced(node: Any) -> bool:
    """Return whether a scheduler, or a member of a combinator, has a traced number."""
    if isinstance(node, Scheduler):
        return node.is_traced
    return any(map(holds_traced, node.members))


def _evaluate(curve: Curve, scheduler: Any, fractional: bool, step: Any, /) -> Any:
    """Return the value of a schedule after ``step`` calls of ``scheduler.step()``.

    Before its start it has its first value: ``optax.join_schedules`` asks all members at all steps.
    """
    if isinstance(step, jax.Array):
        return curve(jnp, jnp.maximum(traced_steps(step, fractional), 0))
    steps = np.asarray(np.maximum(known_steps(step, fractional), 0))
    if holds_traced(scheduler):
        return curve(jnp, fitting_steps(steps))
    with np.errstate(over="ignore"):  # a rate that grows for long becomes infinite, as in PyTorch
        values = np.asarray(curve(np, steps))
    return float(values) if values.ndim == 0 else values
