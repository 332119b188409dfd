"""SequentialLR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch_ref.schedules._inputs import known_count
from torch_ref.schedules._schedule import (
    Curve,
    Schedule,
    Scheduler,
    Start,
    make_schedule,
    scheduler_of,
)


def sequential_lr(schedulers: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """Run one schedule after another, each counted from its own milestone."""
    members = [_as_member(index, scheduler) for index, scheduler in enumerate(schedulers)]
    bounds = _check_milestones(milestones, len(members))
    lr = _shared_lr(members)
    for stage in _stages(bounds, depth=0):
        if stage.restarts and members[stage.member].no_restart:
            raise ValueError(
                f"sequential_lr cannot start the schedule at index {stage.member} at its "
                f"milestone: {members[stage.member].no_restart}"
            )

    def begin(start: Start) -> Curve:
        bases = _base_lrs(members, start.base_lr)
        stages = _stages(bounds, start.depth)
        curves = []
        for stage in stages:
            base = bases[stage.member]
            if stage.restarts:
                entry = Start(lr=base, base_lr=base, group=start.group)
            else:
                entry = Start(start.lr, base, start.group, start.depth + 1)
            curves.append(members[stage.member].begin(entry))
        return _join(stages, curves)

    written = [member.writes for member in members if member.writes is not None]
    return make_schedule(
        begin,
        lr=lr,
        writes=written[-1] if written else None,
        no_restart="PyTorch's SequentialLR has no closed form to restart from; put it first",
    )


class _Stage(NamedTuple):
    """When the member of that index runs: from ``first_step`` on, and before ``end_step``."""

    member: int
    first_step: int
    end_step: float
    restarts: bool
    """Whether PyTorch enters it with ``_update_lr(0)``, which starts from its base_lr."""


def _stages(milestones: Sequence[int], depth: int) -> list[_Stage]:
    """Return the members that run, in order; each sequence around this one shifts it by a step."""
    first_steps = [0, *(milestone - depth for milestone in milestones)]
    end_steps = [*first_steps[1:], math.inf]
    # At depth 0 step 0 is taken by the constructor, which goes on from the group's lr.
    first_restart = 0 if depth else 1
    return [
        _Stage(index, max(first, 0), end, index > 0 and first >= first_restart)
        for index, (first, end) in enumerate(zip(first_steps, end_steps, strict=True))
        if max(first, 0) < end
    ]


def _join(stages: Sequence[_Stage], curves: Sequence[Curve]) -> Curve:
    """Return the curve that runs through ``curves``, each from its stage's first step."""

    def curve(k: int) -> float:
        stage, curve = [
            pair for pair in zip(stages, curves, strict=True) if pair[0].first_step <= k
        ][-1]
        return curve(k - stage.first_step)

    return curve


def _as_member(index: int, scheduler: Any) -> Scheduler:
    """Return what a schedule of ours does, and a plain callable as one without side effects."""
    known = scheduler_of(scheduler)
    if known is not None:
        return known
    if not callable(scheduler):
        raise TypeError(
            f"sequential_lr at index {index} should be a schedule, a function of the step, "
            f"got {scheduler!r}"
        )

    def curve(k: int) -> float:
        value: Any = scheduler(k)
        return float(value)

    return Scheduler(curve, lambda start: curve, lr=None, writes=None, no_restart="")


def _check_milestones(milestones: Sequence[int], count: int) -> list[int]:
    """Return the milestones of ``count`` schedules as ints."""
    if count < 1:
        raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
    if len(milestones) != count - 1:
        raise ValueError(
            "Sequential Schedulers expects number of schedulers provided to be one more than the "
            f"number of milestone points, but got number of schedulers {count} and the number of "
            f"milestones to be equal to {len(milestones)}"
        )
    steps = [known_count("a milestone", milestone, least=0) for milestone in milestones]
    if sorted(steps) != steps:
        raise ValueError(f"milestones must not fall, got {list(milestones)}")
    return steps


def _shared_lr(members: Sequence[Scheduler]) -> float | None:
    """Return the learning rate that the members were given; they share one optimizer."""
    given = list(dict.fromkeys(member.lr for member in members if member.lr is not None))
    if len(given) > 1:
        raise ValueError(
            f"the schedules of sequential_lr share one optimizer, but were given lr={given[0]} "
            f"and lr={given[1]}; give all of them the optimizer's lr"
        )
    return given[0] if given else None


def _base_lrs(members: Sequence[Scheduler], base_lr: Any) -> list[Any]:
    """Return each member's base_lr: what the members constructed before it left behind."""
    bases = []
    for member in members:
        bases.append(base_lr)
        if member.writes is not None:
            base_lr = member.writes.initial_lr
    return bases
