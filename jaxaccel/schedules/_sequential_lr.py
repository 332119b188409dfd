"""SequentialLR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxaccel._call_repr import shows_call
from jaxaccel._checked import checked_after
from jaxaccel._types import Count, Schedule
from jaxaccel.schedules._combine import (
    InSequence,
    Node,
    leaves_of,
    members_of,
    shared_lr,
    starts_of,
)
from jaxaccel.schedules._inputs import is_known, known_count, known_total_steps
from jaxaccel.schedules._recursion import recursive_curve
from jaxaccel.schedules._schedule import Curve, Scheduler, joint_schedule


@shows_call
@checked_after
def sequential_lr(
    schedulers: Sequence[Any],
    milestones: Sequence[Any],
    *,
    total_steps: Count | None = None,
) -> Schedule:
    """Run one schedule after another, each counted from its own milestone.

    The first runs until ``milestones[0]``, where the second starts at its own step 0, and so
    on. A member that is not one of this library's schedules (an optax schedule, a lambda) is
    called with its own step count.

    Args:
        schedulers: The schedules, at least one. Those that take a learning rate must be
            given the same one: in PyTorch they share an optimizer.
        milestones: The steps at which the next one starts, one fewer than ``schedulers``,
            in rising order. A repeated milestone passes over a member.
        total_steps: The number of steps of the training, which traced steps need when the first
            member is itself a sequence or a chain: they read a table of that many, and beyond it
            hold the last value. Otherwise there is a closed form and it is not read.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: No schedule is given, there are too few or too many milestones, they fall,
            the members' learning rates differ, PyTorch cannot start a member at its
            milestone (a sequence or a chain that is not first, ``linear_lr`` with
            ``total_iters=0``), or a traced step met no ``total_steps``.
        TypeError: A member is not callable, a milestone is not a number, or a number is traced
            where there is no closed form.

    PyTorch:
        ``torch.optim.lr_scheduler.SequentialLR`` of schedulers that were constructed in the
        order of the list, equal at every step, with its side effects: a OneCycleLR replaces the
        optimizer's learning rate by ``max_lr / div_factor`` for the member that
        runs first and for all that come after it in the list; of two, the last one's
        learning rates hold for both; and a sequence within a sequence runs one step ahead.
        ``multiplicative_lr`` and ``swa_lr`` go on from the learning rate that they find.
        Plain callables have no side effects. Left out: ``last_epoch``, and milestones that
        fall, are negative or not whole, which PyTorch does not refuse.

    Example:
        >>> import jaxaccel as ja
        >>> warmup = ja.schedules.linear_lr(0.1, start_factor=0.1, total_iters=2)
        >>> cosine = ja.schedules.cosine_annealing_lr(0.1, T_max=4)
        >>> schedule = ja.schedules.sequential_lr([warmup, cosine], [2])
        >>> [round(schedule(k), 4) for k in range(7)]
        [0.01, 0.055, 0.1, 0.0854, 0.05, 0.0146, 0.0]
    """
    members = members_of("SequentialLR", schedulers)
    bounds = _check_milestones(milestones, len(members))
    lr = shared_lr("SequentialLR", members)
    stages = _stages(bounds)
    for stage in stages:
        _check_restart(stage, members[stage.member])
    total_steps = known_total_steps(total_steps)
    node = InSequence(members, bounds)
    if all(isinstance(member, Scheduler) for member in members):
        return joint_schedule(_closed_form(stages, leaves_of(node), lr), node)
    return joint_schedule(recursive_curve("sequential_lr", node, lr, total_steps), node)


class _Stage(NamedTuple):
    """When the member of that index runs: from ``first_step`` on, and before ``end_step``."""

    member: int
    first_step: int
    end_step: float
    restarts: bool
    """Whether PyTorch enters it with ``_update_lr(0)``: step 0 is the constructor's."""


def _stages(milestones: Sequence[int]) -> list[_Stage]:
    """Return the members that run, in order."""
    first_steps, end_steps = [0, *milestones], [*milestones, math.inf]
    return [
        _Stage(index, first, end, restarts=first > 0)
        for index, (first, end) in enumerate(zip(first_steps, end_steps, strict=True))
        if first < end
    ]


def _closed_form(stages: Sequence[_Stage], members: Sequence[Scheduler], lr: Any) -> Curve:
    """Return the curve that runs through the members' own, each from its stage's first step."""
    starts, curves, found = starts_of(members, lr), [], None
    for stage, following in zip(stages, [*stages[1:], None], strict=True):
        member, start = members[stage.member], starts[stage.member]
        if stage.restarts:
            start = start._replace(lr=found, entry="milestone")
        else:
            start = start._replace(entry="sequence")
        curves.append(member.values(start))
        if following is not None and members[following.member].goes_on:
            last = min(stage.end_step - stage.first_step - 1, member.last_step)
            xp: Any = jnp if member.is_traced or not is_known(found) else np
            value = curves[-1](xp, np.asarray(int(last)))
            found = value if xp is jnp else float(value)
    return _join(stages, curves)


def _join(stages: Sequence[_Stage], curves: Sequence[Curve]) -> Curve:
    """Return the curve that runs through ``curves``, each from its stage's first step."""

    def traced(k: Any) -> Any:
        values = None
        for stage, curve in zip(stages, curves, strict=True):
            local = jnp.maximum(k - stage.first_step, 0)
            if stage.end_step < math.inf:
                local = jnp.minimum(local, int(stage.end_step) - stage.first_step - 1)
            value = curve(jnp, local)
            values = value if values is None else jnp.where(k >= stage.first_step, value, values)
        return values

    def known(k: np.ndarray) -> np.ndarray:
        if k.ndim == 0:
            stage, curve = [
                pair for pair in zip(stages, curves, strict=True) if pair[0].first_step <= k
            ][-1]
            return curve(np, np.asarray(k - stage.first_step))
        values = np.empty(k.shape)
        for stage, curve in zip(stages, curves, strict=True):
            inside = (k >= stage.first_step) & (k < stage.end_step)
            if inside.any():
                values[inside] = curve(np, k[inside] - stage.first_step)
        return values

    return lambda xp, k: known(k) if xp is np else traced(k)


def _check_restart(stage: _Stage, member: Node) -> None:
    """Raise when PyTorch cannot start a member at its milestone."""
    if not stage.restarts:
        return
    reason = (
        member.no_restart
        if isinstance(member, Scheduler)
        else "PyTorch's SequentialLR and ChainedScheduler cannot restart; put it first"
    )
    if reason:
        raise ValueError(
            f"sequential_lr cannot start the schedule at index {stage.member} at its "
            f"milestone: {reason}"
        )


def _check_milestones(milestones: Sequence[Count], count: int) -> tuple[int, ...]:
    """Return the milestones of ``count`` schedules as ints."""
    if count < 1:
        raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
    if len(milestones) != count - 1:
        raise ValueError(
            "Sequential Schedulers expects number of schedulers provided to be one more than the "
            f"number of milestone points, but got number of schedulers {count} and the number of "
            f"milestones to be equal to {len(milestones)}"
        )
    steps = tuple(known_count("a milestone", milestone, least=0) for milestone in milestones)
    if sorted(steps) != list(steps):
        raise ValueError(f"milestones must not fall, got {list(milestones)}")
    return steps
