"""What the devices of a program send each other, and what they do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jax.sharding import Mesh

from jaxaccel.aot._groups import axes_of, groups_of
from jaxaccel.aot._hlo import Computation, Operation, Program, turns

KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"),
    *("ragged-all-to-all", "collective-broadcast"),
)

_NOT_WORK_NAMES = (
    "parameter constant tuple get-tuple-element bitcast after-all opt-barrier partition-id "
    "replica-id copy-start copy-done slice-start slice-done async-start async-update async-done "
    "iota broadcast"
)
_NOT_WORK = frozenset(_NOT_WORK_NAMES.split())
"""What takes no time that a transfer could hide behind."""


class Collective(NamedTuple):
    """One operation that moves data between devices."""

    kind: str
    """``"all-reduce"``, ``"all-gather"``, ``"reduce-scatter"``, ``"all-to-all"``,
    ``"collective-permute"``: what happens, not how the compiler spells it."""
    bytes: int
    """The whole array on one device: before it is reduced or scattered, after it is gathered."""
    times: int
    """How often a run does it: more than once in a loop."""
    axes: tuple[str, ...] | None
    """The mesh axes that it runs along; None where that is not known, or no whole axes."""
    devices: int
    """How many take part in one group."""
    overlapped: int
    """Operations that compute while it is under way; 0 if everything waits for it."""
    name: str
    """The operation in the program's text."""


def collectives_of(program: Program, count: int, mesh: Mesh | None) -> tuple[Collective, ...]:
    """Return all collectives of a program for so many devices, in the order of the text."""
    found = []
    for computation, times in _reached(program, program.entry, 1):
        order = [*computation.operations.values()]
        for place, operation in enumerate(order):
            work = _collective(program, operation)
            if work is None:
                continue
            kind, inner, within = work
            groups = groups_of(inner, count)
            found.append(
                Collective(
                    kind,
                    _payload(inner, within),
                    times,
                    axes_of(inner, groups, mesh),
                    max(map(len, groups), default=1),
                    _meanwhile(order, place),
                    operation.name,
                )
            )
    return tuple(each for each in found if each.devices > 1)


def _reached(program: Program, name: str, times: int) -> Iterator[tuple[Computation, int]]:
    """Yield a computation and those that it runs, each with how often a run of all does it."""
    computation = program.computations[name]
    yield computation, times
    for operation in computation.operations.values():
        again, called = times, operation.calls("branch_computations", "true_computation")
        if operation.kind == "while":
            again, called = times * (turns(program, operation) or 1), operation.calls("body")
        elif operation.kind == "call":
            called = operation.calls("to_apply", "calls")
        elif operation.kind == "conditional":
            called += operation.calls("false_computation")
        elif operation.kind == "fusion" and _collective(program, operation) is None:
            called = operation.calls("calls")
        for each in called:
            yield from _reached(program, each, again)


def _collective(
    program: Program, operation: Operation
) -> tuple[str, Operation, Computation | None] | None:
    """Return the kind of a collective, the operation that says more, and where that stands."""
    kind = operation.kind.removesuffix("-start")
    if kind in KINDS:
        return kind, operation, None
    if operation.kind not in ("async-start", "fusion"):
        return None
    for computation in program.at(operation.calls("calls")):
        # A TPU's reduce-scatter is a fusion with an all-reduce inside, which it never completes.
        is_scatter = operation.kind == "fusion" and "all-reduce-scatter" in computation.name
        if operation.kind == "fusion" and not is_scatter:
            continue
        for each in computation.operations.values():
            if each.kind.removesuffix("-start") in KINDS:
                found = each.kind.removesuffix("-start")
                return "reduce-scatter" if is_scatter else found, each, computation
    return None


def _payload(operation: Operation, within: Computation | None) -> int:
    """Return the bytes of the whole arrays."""
    if operation.kind.endswith("-start") and len(operation.arrays) > 1:
        # (operands, results), or (operand, result, contexts).
        return max(array.bytes for array in operation.arrays)
    read = 0 if within is None else sum(each.bytes for each in within.operands(operation))
    return max(read, operation.bytes)


def _meanwhile(order: list[Operation], place: int) -> int:
    """Return how many operations compute between a collective's start and its end."""
    started = order[place]
    if not started.kind.endswith("-start"):
        return 0
    follows, work = {started.name}, 0
    for operation in order[place + 1 :]:
        if follows.intersection(operation.operands):
            if operation.kind.endswith("-done"):
                return work
            follows.add(operation.name)
        elif operation.kind not in _NOT_WORK and not _moves(operation):
            work += 1
    return work


def _moves(operation: Operation) -> bool:
    """Return whether an operation is itself a transfer."""
    return operation.kind.removesuffix("-start").removesuffix("-done") in KINDS
