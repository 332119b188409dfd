"""What a program computes, reads and writes: loops as often as they run."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from jaxaccel._hlo import Computation, Operation, Program
from jaxaccel.aot._flops import flops_of, kernel_of
from jaxaccel.aot._loops import turns
from jaxaccel.aot._traffic import bytes_of

_CALLED = ("calls", "to_apply", "called_computations")
_RUNS_OTHERS = ("fusion", "call", "async-start")


class Cost(NamedTuple):
    """What a computation costs."""

    flops: float
    bytes: float
    cycles: int
    """As a compiler estimated them for its fusions."""
    of_choices: float
    """Of the bytes, what the costliest branches move more than the cheapest."""
    kernels: Counter[str]
    """Programs that are not part of this one and do not say what they compute, and their calls."""
    open_loops: int
    """Loops whose turns the data decide, counted once."""

    def times(self, count: int) -> Cost:
        """Return the cost of so many runs; loops are no more for being met again."""
        kernels = Counter({name: count * each for name, each in self.kernels.items()})
        return Cost(
            count * self.flops,
            count * self.bytes,
            count * self.cycles,
            count * self.of_choices,
            kernels,
            self.open_loops,
        )


_NOTHING = Cost(0, 0, 0, 0, Counter(), 0)


def cost_of(program: Program, *, loops_once: bool = False) -> Cost:
    """Return what a run costs; on request loops count once, as the compilers have it."""

    @functools.cache
    def within(name: str) -> Cost:
        computation = program.computations[name]
        return _sum(cost(operation, computation) for operation in computation.operations.values())

    def cost(operation: Operation, computation: Computation) -> Cost:
        flops = flops_of(program, operation, computation)
        moved = bytes_of(program, operation, computation)
        kernels = kernel_of(operation)
        return _sum([inside(operation), Cost(flops, moved, _cycles(operation), 0, kernels, 0)])

    def inside(operation: Operation) -> Cost:
        if operation.kind == "while":
            count = turns(program, operation)
            body, condition = (within(operation.calls(part)[0]) for part in ("body", "condition"))
            if count is None:
                return _sum([body, condition, _NOTHING._replace(open_loops=1)])
            if loops_once:
                return _sum([body, condition])
            return _sum([body.times(count), condition.times(count + 1)])
        if operation.kind == "conditional":
            return _costliest(within(name) for name in branches(operation))
        if operation.kind not in _RUNS_OTHERS:
            return _NOTHING
        found = _sum(within(name) for name in operation.calls(*_CALLED))
        # What is fused moves nothing by itself.
        is_fused = operation.kind == "fusion"
        return found._replace(bytes=0, cycles=0, of_choices=0) if is_fused else found

    return within(program.entry)


def branches(choice: Operation) -> list[str]:
    """Return the computations of which a conditional runs one."""
    return choice.calls("branch_computations", "true_computation", "false_computation")


def _sum(costs: Iterable[Cost]) -> Cost:
    """Return a total."""
    found = list(costs)
    return Cost(
        sum(cost.flops for cost in found),
        sum(cost.bytes for cost in found),
        sum(cost.cycles for cost in found),
        sum(cost.of_choices for cost in found),
        sum((cost.kernels for cost in found), Counter()),
        sum(cost.open_loops for cost in found),
    )


def _costliest(costs: Iterable[Cost]) -> Cost:
    """Return the most that a branch has, by each measure, as the compilers count."""
    found = sorted(costs, key=lambda cost: cost.bytes)
    least, most = found[0], found[-1]
    return Cost(
        max(cost.flops for cost in found),
        most.bytes,
        max(cost.cycles for cost in found),
        most.of_choices + most.bytes - least.bytes,
        functools.reduce(Counter.__or__, (cost.kernels for cost in found)),
        sum(cost.open_loops for cost in found),
    )


def _cycles(operation: Operation) -> int:
    """Return the compiler's own estimate of an operation's cycles, where it gives one."""
    found = re.search(r'"estimated_cycles":"?(\d+)', operation.rest)
    return int(found[1]) if found else 0
