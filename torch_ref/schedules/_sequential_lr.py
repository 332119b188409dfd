"""SequentialLR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from torch_ref.schedules._combine import (
    InSequence,
    Node,
    leaves_of,
    members_of,
    shared_lr,
    starts_of,
)
from torch_ref.schedules._inputs import known_count, known_total_steps
from torch_ref.schedules._recursion import recursive_curve
from torch_ref.schedules._schedule import Curve, Schedule, Scheduler, joint_schedule


def sequential_lr(
    schedulers: Sequence[Schedule], milestones: Sequence[int], *, total_steps: int | None = None
) -> Schedule:
    """Run one schedule after another, each counted from its own milestone."""
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


def _closed_form(stages: Sequence[_Stage], members: Sequence[Scheduler], lr: float | None) -> Curve:
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
            found = curves[-1](int(last))
    return _join(stages, curves)


def _join(stages: Sequence[_Stage], curves: Sequence[Curve]) -> Curve:
    """Return the curve that runs through ``curves``, each from its stage's first step."""

    def curve(k: int) -> float:
        stage, curve = [
            pair for pair in zip(stages, curves, strict=True) if pair[0].first_step <= k
        ][-1]
        return curve(k - stage.first_step)

    return curve


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


def _check_milestones(milestones: Sequence[int], count: int) -> tuple[int, ...]:
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
