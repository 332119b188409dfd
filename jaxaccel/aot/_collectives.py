"""What the devices of a program send each other, and what they do meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple

from jax.sharding import Mesh

from jaxaccel._hlo import Computation, Operation, Program
from jaxaccel.aot._groups import axes_of, groups_of
from jaxaccel.aot._loops import turns

KINDS = (
    *("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute"),
    *("ragged-all-to-all", "collective-broadcast"),
)

_NOT_WORK_NAMES = (
    "parameter constant tuple get-tuple-element bitcast after-all opt-barrier partition-id "
    "replica-id copy-start copy-done slice-start slice-done async-start async-update async-done "
    "iota broadcast send send-done recv recv-done"
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
    """How often a run does it: more than once in a loop. Each branch of a choice counts."""
    axes: tuple[str, ...] | None
    """The mesh axes that it runs along; None where that is not known, or no whole axes."""
    devices: int
    """How many take part in one group."""
    overlapped: int
    """Operations that compute while it is under way; 0 if everything waits for it."""
    name: str
    """The operation in the program's text."""


class _Piece(NamedTuple):
    """An operation that is a collective, holds one, or is one of the parts that make it up."""

    kind: str
    inner: Operation
    """The operation that says who takes part."""
    within: Computation
    """Where that stands."""

    @property
    def chain(self) -> tuple[str | None, str] | None:
        """What the parts of one collective have in common; None if it is in one part."""
        found = re.search(r'chain_id="(\w+)"', self.inner.rest)
        return found and (self.inner.attribute("channel_id"), found[1])


def check_kind(kind: Any) -> None:
    """Raise for what is not a kind of collective."""
    if isinstance(kind, str) and kind in KINDS:
        return
    near = get_close_matches(str(kind).replace("_", "-").lower(), KINDS, n=1)
    remedy = f"did you mean {near[0]!r}?" if near else f"pass one of {', '.join(KINDS)}"
    raise ValueError(f"wanted has {kind!r}, which is not a kind of collective; {remedy}")


def collectives_of(program: Program, count: int, mesh: Mesh | None) -> tuple[Collective, ...]:
    """Return all collectives of a program for so many devices, in the order of the text."""
    found, begun_in = [], {}
    for computation, times in _reached(program, program.entry, 1):
        order = [*computation.operations.values()]
        pieces = [_piece(program, operation, computation) for operation in order]
        chains = [piece and piece.chain for piece in pieces]
        for place, piece in enumerate(pieces):
            chain = chains[place]
            if piece is None or (chain and chain in chains[:place]):
                continue
            # A loop that runs meanwhile holds parts of what has begun in front of it.
            if chain and begun_in.setdefault(chain, computation.name) != computation.name:
                continue
            groups = groups_of(piece.inner, count)
            found.append(
                Collective(
                    piece.kind,
                    _payload(piece.inner, piece.within),
                    times,
                    axes_of(piece.inner, groups, mesh),
                    max(map(len, groups), default=1),
                    _meanwhile(order, place, chains),
                    order[place].name,
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
        for each in called:
            yield from _reached(program, each, again)


def _piece(program: Program, operation: Operation, within: Computation) -> _Piece | None:
    """Return the collective that an operation is or holds, or None."""
    kind = operation.kind.removesuffix("-start")
    if kind in KINDS:
        return _Piece(kind, operation, within)
    between = re.search(r'_xla_megascale_transfer_type="(\w+)"', operation.rest)
    if between and operation.kind == "send":  # between slices, by way of their hosts
        return _Piece(between[1].lower().replace("_", "-"), operation, within)
    if operation.kind not in ("async-start", "fusion"):
        return None
    for called in program.at(operation.calls("calls")):
        for each in called.operations.values():
            found = _piece(program, each, called)
            if found is not None:
                # A TPU's reduce-scatter is an all-reduce of which each device takes a part.
                is_scatter = "all-reduce-scatter" in called.name
                return found._replace(kind="reduce-scatter") if is_scatter else found
    return None


def _payload(operation: Operation, within: Computation) -> int:
    """Return the bytes of the whole arrays."""
    read = sum(each.bytes for each in within.operands(operation))
    made = sum(array.bytes for array in operation.arrays if array.dims)
    if operation.kind == "send":
        return made
    if operation.kind.endswith("-start") and len(operation.arrays) > 1:
        made -= read  # its results name the operands again
    return max(read, made)


def _meanwhile(order: list[Operation], place: int, chains: list[Any]) -> int:
    """Return how many operations compute between a collective's start and its end.

    A GPU's has a start and an end, a TPU's several fusions, of which those in the middle compute.
    """
    if chains[place]:
        last = len(chains) - 1 - chains[::-1].index(chains[place])
        return sum(_computes(operation) for operation in order[place + 1 : last])
    follows, work = {order[place].name}, 0
    if order[place].kind == "send":
        follows = {operation.name for operation in order if _answers(operation, order[place])}
    elif not order[place].kind.endswith("-start"):
        return 0
    for operation in order[place + 1 :]:
        if follows.intersection(operation.operands):
            if operation.kind.endswith("-done"):
                return work
            follows.add(operation.name)
        else:
            work += _computes(operation)
    return work


def _answers(operation: Operation, sent: Operation) -> bool:
    """Return whether an operation receives what is made of what another one sends."""
    name = re.compile(r'_xla_host_transfer_rendezvous="([^"]*)"')
    pair = [name.search(each.rest) for each in (operation, sent)]
    return operation.kind == "recv" and all(pair) and len({each[1] for each in pair if each}) == 1


def _computes(operation: Operation) -> bool:
    """Return whether an operation is neither a transfer nor free."""
    is_transfer = operation.kind.removesuffix("-start").removesuffix("-done") in KINDS
    return operation.kind not in _NOT_WORK and not is_transfer
