"""PyTorch's own recursion, for schedules that move the lr in turns and have no closed form."""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from jaxaccel.schedules._combine import InSequence, Node
from jaxaccel.schedules._inputs import is_known
from jaxaccel.schedules._schedule import (
    Curve,
    Group,
    Scheduler,
    Start,
    constructed,
    holds_traced,
)
from jaxaccel.schedules._stretch import AT_ONCE, FEW, Line, take_many_steps, take_steps
from jaxaccel.schedules._table import length_for, read_table, traced_length


class _Stretch(NamedTuple):
    """Steps between two milestones, in which the same members take part."""

    leaves: list[tuple[tuple[int, ...], Scheduler]]
    """With their places, in the order in which they step."""
    sequences: list[tuple[int, ...]]
    """The places of the sequences that they are in."""
    steps: float
    """How many there are; with none, the next step reaches a milestone or the end of a leaf."""


def recursive_curve(combinator: str, node: Node, lr: Any, total_steps: int | None) -> Curve:
    """Return the curve of a schedule that only its steps define.

    A known step runs the recursion up to itself, in double precision; a traced one reads a table
    of the first ``total_steps``.
    """
    if holds_traced(node) or not is_known(lr):
        raise TypeError(
            f"{combinator} has no closed form here and runs PyTorch's steps in double precision, "
            "for which all numbers must be known now, but one is traced; give it a Python float"
        )
    run = functools.lru_cache(maxsize=2)(functools.partial(_run, node, lr))

    def curve(xp: Any, k: Any) -> Any:
        known = xp is np
        values, error = run(length_for(k) if known else traced_length(combinator, total_steps))
        if known and error is not None and k.max(initial=0) >= len(values):
            raise error
        return read_table(xp, values, k)

    return curve


def _run(node: Node, lr: float | None, length: int) -> tuple[np.ndarray, Exception | None]:
    """Return the values of ``length`` steps, or fewer and the error that PyTorch ends with."""
    # What PyTorch's objects and their optimizer hold; an object is known by its place in the tree.
    run = SimpleNamespace(lr=lr, group=Group(lr=lr), base_lr={}, epoch={}, calls={}, began=False)
    _construct(node, (), run)
    run.began = True
    values, left = [np.array([run.lr])], length - 1
    while left > 0:
        stretch = _undisturbed(node, (), run)
        steps = int(min(stretch.steps, left))
        if steps > 0:
            values += _take_steps(stretch, steps, run)
        else:
            steps = 1
            try:
                _step(node, (), run)
            except (ValueError, ZeroDivisionError) as error:
                return np.concatenate(values), error
            values.append(np.array([run.lr]))
        left -= steps
    return np.concatenate(values), None


def _construct(node: Node, place: tuple[int, ...], run: SimpleNamespace) -> None:
    """Do what the constructors do, the members' first."""
    if isinstance(node, Scheduler):
        run.group = constructed(run.group, node)
        run.base_lr[place] = run.group.initial_lr
        run.epoch[place] = -1
        _take_first_step(node, place, run, "constructor")
        return
    for index, member in enumerate(node.members):
        _construct(member, (*place, index), run)
    if isinstance(node, InSequence):
        run.lr = run.group.initial_lr
        for inner, _ in _leaves(node, place):
            run.epoch[inner] -= 1
        run.epoch[place] = 0
        first = bisect_right(node.milestones, 0)
        _take_first_step(node.members[first], (*place, first), run, "sequence")


def _take_first_step(node: Node, place: tuple[int, ...], run: SimpleNamespace, entry: Any) -> None:
    """Do what ``_initial_step`` does: a combinator's is a step like any other."""
    if not isinstance(node, Scheduler):
        _step(node, place, run)
        return
    run.epoch[place] += 1
    run.calls[place] = 1
    run.lr = float(node.values(_start(place, run, entry))(np, np.asarray(0)))


def _step(node: Node, place: tuple[int, ...], run: SimpleNamespace) -> None:
    """Do what ``scheduler.step()`` does."""
    if isinstance(node, Scheduler):
        run.epoch[place] += 1
        run.calls[place] += 1
        _move(node, place, run)
    elif isinstance(node, InSequence):
        run.epoch[place] += 1
        index = bisect_right(node.milestones, run.epoch[place])
        if index > 0 and node.milestones[index - 1] == run.epoch[place]:
            _restart(node.members[index], (*place, index), run)
        else:
            _step(node.members[index], (*place, index), run)
    else:
        for index, member in enumerate(node.members):
            _step(member, (*place, index), run)


def _undisturbed(node: Node, place: tuple[int, ...], run: SimpleNamespace) -> _Stretch:
    """Return what steps next."""
    if isinstance(node, Scheduler):
        own = _own_step(place, node, run)
        return _Stretch([(place, node)], [], node.last_step - own if own >= 0 else 0)
    if isinstance(node, InSequence):
        index = bisect_right(node.milestones, run.epoch[place])
        inner = _undisturbed(node.members[index], (*place, index), run)
        left = [*node.milestones, math.inf][index] - run.epoch[place] - 1
        return _Stretch(inner.leaves, [place, *inner.sequences], min(inner.steps, left))
    found = [_undisturbed(each, (*place, index), run) for index, each in enumerate(node.members)]
    return _Stretch(
        [leaf for inner in found for leaf in inner.leaves],
        [sequence for inner in found for sequence in inner.sequences],
        min(inner.steps for inner in found),
    )


def _own_step(place: tuple[int, ...], leaf: Scheduler, run: SimpleNamespace) -> int:
    """Return the step that a leaf is at."""
    return run.calls[place] - 1 if leaf.counts_calls else run.epoch[place]


def _take_steps(stretch: _Stretch, steps: int, run: SimpleNamespace) -> list[np.ndarray]:
    """Return the values of the next steps, at most as many as the stretch has."""
    values = []
    take = take_steps if steps < FEW else take_many_steps
    for start in range(0, steps, AT_ONCE):
        count = min(AT_ONCE, steps - start)
        lines = []
        for place, leaf in stretch.leaves:
            lines.append(_line(leaf, _own_step(place, leaf, run) + 1, count, _start(place, run)))
            run.epoch[place] += count
            run.calls[place] += count
        for place in stretch.sequences:
            run.epoch[place] += count
        values.append(take(lines, run.lr))
        run.lr = float(values[-1][-1])
    return values


def _move(leaf: Scheduler, place: tuple[int, ...], run: SimpleNamespace) -> None:
    """Take a leaf's chainable step."""
    k = _own_step(place, leaf, run)
    if not run.began or k > leaf.last_step:  # beyond it the step itself raises
        run.lr = float(leaf.next(_start(place, run))(np, np.asarray(k), run.lr))
    else:
        run.lr = float(take_steps([_line(leaf, k, 1, _start(place, run))], run.lr)[0])


def _restart(leaf: Node, place: tuple[int, ...], run: SimpleNamespace) -> None:
    """Do what ``_update_lr(0)`` does; the combinators have refused what has none."""
    assert isinstance(leaf, Scheduler)
    run.epoch[place] = 0
    run.lr = float(leaf.values(_start(place, run, "milestone"))(np, np.asarray(0)))


def _start(place: tuple[int, ...], run: SimpleNamespace, entry: Any = "sequence") -> Start:
    """Return how a leaf finds the optimizer."""
    return Start(run.lr, run.base_lr[place], run.group, entry)


def _line(leaf: Scheduler, first: int, count: int, start: Start) -> Line:
    """Return steps of a leaf as slopes and offsets: each of them is linear in the lr."""
    k, step = np.arange(first, first + count), leaf.next(start)
    zeros = np.zeros(count)
    if leaf.kind == "factor":
        return np.broadcast_to(step(np, k, np.ones(count)), count), zeros
    if leaf.kind == "absolute":
        return zeros, np.broadcast_to(step(np, k, zeros), count)
    offsets, of_one = np.broadcast_to(step(np, k, np.array([[0.0], [1.0]])), (2, count))
    return of_one - offsets, offsets


def _leaves(node: Node, place: tuple[int, ...]) -> list[tuple[tuple[int, ...], Scheduler]]:
    """Return the schedulers without the combinators, with their places."""
    if isinstance(node, Scheduler):
        return [(place, node)]
    pairs = enumerate(node.members)
    return [found for index, member in pairs for found in _leaves(member, (*place, index))]
