"""How often a loop of a program runs."""

from __future__ import annotations

import re

from jaxaccel._hlo import Computation, Operation, Program


def turns(program: Program, loop: Operation) -> int | None:
    """Return how often a loop's body runs; None where the data decide."""
    known = re.search(r'"known_trip_count":\{"n":"(\d+)"\}', loop.rest)
    if known:
        return int(known[1])
    (condition,) = program.at(loop.calls("condition"))
    return _bound(program, condition)


def _bound(program: Program, condition: Computation) -> int | None:
    """Return the constant below which a condition wants a count, which starts at 0.

    The TPU's compiler leaves it at that; what its loops count is the scan's turns.
    """
    limits = [
        int(operation.literal)
        for operation in condition.operations.values()
        if operation.kind == "constant" and re.fullmatch(r"-?\d+", operation.literal)
    ]
    root = condition.operations[condition.root]
    is_less = "direction=LT" in root.rest or any(
        "direction=LT" in operation.rest
        for called in program.at(root.calls("calls"))
        for operation in called.operations.values()
    )
    return limits[0] if is_less and len(limits) == 1 else None
