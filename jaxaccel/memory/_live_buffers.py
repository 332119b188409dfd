"""Which arrays a compiled program holds at the moment at which it holds most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from jaxaccel._hlo import Array, Operation, Program

_SAME = ("bitcast", "optimization-barrier", "domain", "add-dependency", "all-reduce-done")
"""Kinds whose result is their operand."""
_ELSEWHERE = frozenset(
    (
        *(
            "convolution",
            "custom-call",
            "dot",
            "fft",
            "cholesky",
            "call",
            "conditional",
        ),
        *("all-gather", "all-to-all", "collective-permute", "reduce-scatter"),
        *("reduce", "reduce-window", "select-and-scatter", "gather", "iota", "slice"),
        *("broadcast", "concatenate", "pad", "reshape", "reverse", "transpose"),
    )
)
"""Kinds that cannot write over an operand, even if nobody reads it any more."""
_NAME_OPERANDS = (
    "gather-start",
    "permute-start",
    "copy-start",
    "slice-start",
    "async-start",
    "send",
)
"""Ends of the kinds that have an operand again among their results."""
_BRANCHES = ("branch_computations", "true_computation", "false_computation")
_CALLS = ("call", "conditional")
"""Kinds whose result is written by what they call: until then its memory may serve others."""


class Buffer(NamedTuple):
    """Memory for one array that is neither an argument nor a result."""

    array: Array
    operation: Operation
    """What writes it."""


class _Heap(NamedTuple):
    """All memory that is met, by number."""

    program: Program
    arrays: list[Array]
    writers: list[Operation]
    nbytes: list[int]
    counted: list[bool]
    """Whether it is the program's own: no argument, result, constant, nor in another memory."""


class _Peak(NamedTuple):
    """The most that a computation holds of its own, and what that is."""

    nbytes: int
    buffers: tuple[int, ...]
    result: Any


def live_buffers(program: Program) -> list[Buffer]:
    """Return the arrays beside arguments and results that are held when most bytes are.

    Operations run in the order that the compiler has settled. An array is held from the operation
    that makes it to the last that reads it; loops carry theirs in place; an elementwise operation
    or a fusion overwrites an operand of the same size that nobody reads any more. What a compiler
    does beyond that (packing into one block, keeping an array elsewhere for a while) is not seen,
    so the sum is near the compiler's figure and not the same.
    """
    heap = _Heap(program, [], [], [], [])
    peak = _peak(heap, program.entry, None)
    return [Buffer(heap.arrays[each], heap.writers[each]) for each in peak.buffers]


def _peak(heap: _Heap, name: str, given: Sequence[Any] | None, with_result: bool = False) -> _Peak:
    """Walk a computation; ``given`` are the buffers of its parameters, None for new ones.

    What it returns is the caller's memory, and counted there, unless ``with_result``.
    """
    computation = heap.program.computations[name]
    operations, root = [*computation.operations.values()], computation.root
    values: dict[str, Any] = {}
    inner: dict[int, _Peak] = {}
    born: list[list[int]] = []
    last: dict[int, int] = {}
    start_of_own = len(heap.arrays)
    for at, operation in enumerate(operations):
        operands = [values[each] for each in operation.operands]
        last.update(dict.fromkeys(_leaves(operands), at))
        first = len(heap.arrays)
        if operation.kind == "parameter" and given is not None:
            values[operation.name] = given[int(operation.literal)]
        else:
            values[operation.name], inside = _run(heap, operation, operands)
            if inside is not None:
                inner[at] = inside
        own = _leaves(values[operation.name])
        born.append([each for each in own if each >= first and heap.counted[each]])
    results = [] if with_result else _leaves(values[root])
    last.update(dict.fromkeys(_leaves(values[root]), len(operations)))
    for each in results:
        heap.counted[each] &= each < start_of_own
    nbytes, at, gone = _highest(heap, operations, born, last, inner)
    held = [b for start, new in enumerate(born[: at + 1]) for b in new if last.get(b, start) >= at]
    held = [each for each in held if heap.counted[each] and each not in gone]
    if at in inner:
        own = born[at] if operations[at].kind in _CALLS else ()
        held = [*(each for each in held if each not in own), *inner[at].buffers]
    return _Peak(nbytes, tuple(held), values[root])


def _highest(
    heap: _Heap,
    operations: list[Operation],
    born: list[list[int]],
    last: dict[int, int],
    inner: dict[int, _Peak],
) -> tuple[int, int, list[int]]:
    """Return the most bytes that are held, the operation at which, and what it overwrites."""
    dying: dict[int, list[int]] = {}
    for start, new in enumerate(born):
        for each in new:
            dying.setdefault(last.get(each, start), []).append(each)
    held, highest = 0, (0, 0, [])
    for at, operation in enumerate(operations):
        new = [heap.nbytes[each] for each in born[at] if heap.counted[each]]
        old = [heap.nbytes[each] for each in dying.get(at, ()) if heap.counted[each]]
        held += sum(new)
        free = [each for each in dying.get(at, ()) if each not in born[at] and heap.counted[each]]
        gone = []
        for nbytes in new if _may_overwrite(operation) else ():
            fitting = (each for each in free if heap.nbytes[each] == nbytes)
            if (one := next(fitting, None)) is not None:
                free.remove(one)
                gone.append(one)
        now = held - sum(heap.nbytes[each] for each in gone)
        if at in inner:
            now += inner[at].nbytes - (sum(new) if operation.kind in _CALLS else 0)
        highest = max(highest, (now, at, gone), key=lambda each: each[0])
        held -= sum(old)
    return highest


def _run(heap: _Heap, operation: Operation, operands: list[Any]) -> tuple[Any, _Peak | None]:
    """Return the buffers of an operation's result, and what it holds while it runs."""
    kind = operation.kind
    if kind == "tuple":
        return operands, None
    if kind == "get-tuple-element":
        return operands[0][operation.numbers("index")[0]], None
    if kind in _SAME or kind.endswith("-update"):
        return operands[0], None
    if kind == "recv-done":  # (received, context, token) -> (received, token)
        return operands[0][::2], None
    if kind.endswith("-done") and kind != "send-done":
        return operands[0][0 if kind == "copy-done" else 1], None
    if kind == "while":
        return operands[0], _loop(heap, operation, operands)
    new = _new(heap, operation, operands)
    if kind.endswith(_NAME_OPERANDS) and isinstance(new, list):
        is_copy = kind == "copy-start"
        own = operands[0] if is_copy or isinstance(operation.result[0], Array) else operands
        new[1 if is_copy else 0] = own
    if kind in _CALLS:
        return new, _branches(heap, operation, operands, new)
    return new, None


def _loop(heap: _Heap, operation: Operation, operands: list[Any]) -> _Peak:
    """Walk a loop once: every turn holds the same, and what it carries lies in one place."""
    (body,) = operation.calls("body")
    turn = _peak(heap, body, operands)
    _written_by(heap, operands[0], turn.result)
    return turn


def _branches(heap: _Heap, operation: Operation, operands: list[Any], result: Any) -> _Peak:
    """Walk what is called; of several branches the one counts that holds most."""
    given = [(name, operands) for name in operation.calls("to_apply")]
    if operation.kind == "conditional":
        branches = operation.calls(*_BRANCHES)
        given = [(name, [each]) for name, each in zip(branches, operands[1:], strict=True)]
    peaks = [_peak(heap, name, of_it, with_result=True) for name, of_it in given]
    most = max(peaks, key=lambda peak: peak.nbytes)
    _written_by(heap, result, most.result)
    return most


def _written_by(heap: _Heap, buffers: Any, results: Any) -> None:
    """Note that buffers are written by what makes the results of a computation inside."""
    for outer, inside in zip(_leaves(buffers), _leaves(results), strict=True):
        if outer != inside and heap.writers[inside].path:
            heap.writers[outer] = heap.writers[inside]


def _new(heap: _Heap, operation: Operation, operands: list[Any]) -> Any:
    """Return new buffers for an operation's result."""
    writers = _writers(heap.program, operation)
    counts = operation.kind not in ("parameter", "constant")

    def make(result: Any) -> Any:
        if not isinstance(result, Array):
            return [make(each) for each in result]
        writer = next(writers)
        if not writer.path and (own := next(_leaves(operands), None)) is not None:
            writer = heap.writers[own]
        heap.arrays.append(result)
        heap.writers.append(writer)
        heap.nbytes.append(result.padded)
        heap.counted.append(counts and result.space == 0 and heap.nbytes[-1] > 0)
        return len(heap.arrays) - 1

    return make(operation.result)


def _writers(program: Program, operation: Operation) -> Iterator[Operation]:
    """Yield what writes each array of a result: the operation, or that inside a fusion."""
    for called in program.at(operation.calls("calls")) if operation.kind == "fusion" else ():
        inside = called.operations
        root = inside[called.root]
        for name in root.operands if root.kind == "tuple" else (root.name,):
            writer = inside[name]
            while not writer.path and writer.operands:
                writer = inside[writer.operands[0]]
            yield writer if writer.path and writer.kind != "parameter" else operation
    while True:
        yield operation


def _may_overwrite(operation: Operation) -> bool:
    """Return whether a result may take the place of an operand of its size that has no reader.

    A fusion that is a kernel of its own, such as a product's, does not.
    """
    return operation.kind not in _ELSEWHERE and operation.attribute("kind") != "kCustom"


def _leaves(tree: Any) -> Iterator[Any]:
    """Yield what is in lists, those in lists too."""
    if isinstance(tree, list):
        for each in tree:
            yield from _leaves(each)
    else:
        yield tree
