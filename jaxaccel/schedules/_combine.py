"""Schedules that share an optimizer, in the order in which PyTorch constructs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from jaxaccel._functions import check_takes
from jaxaccel.schedules._inputs import any_traced
from jaxaccel.schedules._reduce_lr_on_plateau import Plateau
from jaxaccel.schedules._schedule import Group, Scheduler, Start, constructed, scheduler_of
from jaxaccel.schedules._user_function import call_at


class InSequence(NamedTuple):
    """What stands behind ``sequential_lr``."""

    members: tuple[Node, ...]
    milestones: tuple[int, ...]


class InChain(NamedTuple):
    """What stands behind ``chained_scheduler``."""

    members: tuple[Node, ...]


Node: TypeAlias = Scheduler | InSequence | InChain


def members_of(combinator: str, schedulers: Sequence[Any]) -> tuple[Node, ...]:
    """Return what the schedules do; a plain callable is one that has no side effects.

    ``combinator`` is PyTorch's name of what has them, for errors.
    """
    return tuple(_member(combinator, index, each) for index, each in enumerate(schedulers))


def leaves_of(node: Node) -> list[Scheduler]:
    """Return the schedulers without the combinators, in the order of their construction."""
    if isinstance(node, Scheduler):
        return [node]
    return [leaf for member in node.members for leaf in leaves_of(member)]


def shared_lr(combinator: str, members: Sequence[Node]) -> Any:
    """Return the learning rate that the members were given; they share one optimizer.

    Whether traced ones are the same cannot be seen.
    """
    leaves = [leaf for member in members for leaf in leaves_of(member)]
    given = [leaf.lr for leaf in leaves if leaf.lr is not None]
    for other in given[1:]:
        if not any_traced(given[0], other) and given[0] != other:
            raise ValueError(
                f"the schedules of {combinator} share one optimizer, but were given lr={given[0]} "
                f"and lr={other}; give all of them the optimizer's lr"
            )
    return given[0] if given else None


def starts_of(leaves: Sequence[Scheduler], lr: Any) -> list[Start]:
    """Return how each finds the optimizer, whose lr is ``lr``, after all constructors.

    The lr itself is the ``initial_lr`` that they leave.
    """
    group, bases = Group(lr=lr), []
    for leaf in leaves:
        group = constructed(group, leaf)
        bases.append(group.initial_lr)
    return [Start(group.initial_lr, base, group) for base in bases]


def _member(combinator: str, index: int, scheduler: Any) -> Node:
    """Return what one schedule does."""
    known = scheduler_of(scheduler)
    if known is not None:
        return known
    if isinstance(scheduler, Plateau):
        raise ValueError(
            f"{combinator} does not support `ReduceLROnPlateau` scheduler as it requires "
            "additional kwargs to be specified when calling `step`, but got one at index "
            f"{index} in the given schedulers sequence."
        )
    if not callable(scheduler):
        raise TypeError(
            f"{combinator} at index {index} should be a schedule, a function of the step, "
            f"got {scheduler!r}"
        )
    name = f"the function at index {index} of {combinator}"
    check_takes(name, "(step) -> number", scheduler, 0)

    def curve(xp: Any, k: Any) -> Any:
        return call_at(name, scheduler, k)

    return Scheduler(
        None, lambda start: curve, lambda start: lambda xp, k, lr: curve(xp, k), "absolute"
    )
