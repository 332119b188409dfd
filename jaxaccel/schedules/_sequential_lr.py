"""SequentialLR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxaccel._types import Schedule
from jaxaccel.schedules._inputs import known_count
from jaxaccel.schedules._schedule import Curve, Scheduler, Start, make_schedule, scheduler_of


def sequential_lr(schedulers: Sequence[Schedule], milestones: Sequence[int]) -> Schedule:
    """Run one schedule after another, each counted from its own milestone.

    The first runs until ``milestones[0]``, where the second starts at its own step 0, and so
    on. A member that is not one of this library's schedules (an optax schedule, a lambda) is
    called with its own step count.

    Args:
        schedulers: The schedules, at least one. Those that take a learning rate must be
            given the same one: in PyTorch they share an optimizer.
        milestones: The steps at which the next one starts, one fewer than ``schedulers``,
            in rising order. A repeated milestone passes over a member.

    Returns:
        A schedule ``step -> learning rate``: a Python int gives a float, a NumPy array float64
        values of its shape, a JAX array values of its shape in JAX's default float.

    Raises:
        ValueError: There is no schedule, there are too few or too many milestones, they fall,
            the members' learning rates differ, or PyTorch cannot start a member at its
            milestone (a sequence that is not first, ``linear_lr`` with ``total_iters=0``).
        TypeError: A member is not callable, or a milestone is not a number.

    PyTorch:
        ``torch.optim.lr_scheduler.SequentialLR`` of schedulers that were constructed in the
        order of the list, equal at every step, with its side effects: a OneCycleLR replaces the
        optimizer's learning rate by ``max_lr / div_factor`` for the member that
        runs first and for all that come after it in the list; of two, the last one's
        learning rates hold for both; and a sequence within a sequence runs one step ahead.
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

    def curve(xp: Any, k: Any) -> Any:
        if xp is np:
            value = scheduler(int(k) if k.ndim == 0 else k)
            return np.broadcast_to(np.asarray(value, dtype=np.float64), k.shape)
        return jnp.broadcast_to(jnp.asarray(scheduler(k)).astype(float), k.shape)

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
