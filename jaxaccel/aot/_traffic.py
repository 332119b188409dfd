"""What one operation of a program reads from memory and writes there."""

from __future__ import annotations

from jaxaccel._hlo import Computation, Operation, Program

_FREE_NAMES = (
    "parameter constant tuple get-tuple-element bitcast after-all domain opt-barrier partition-id "
    "replica-id while conditional call async-start async-update async-done copy-done slice-done "
    "all-reduce-done all-gather-done collective-permute-done send-done recv-done"
)
_FREE = frozenset(_FREE_NAMES.split())
"""Pointers, what is counted inside, and the end of what is counted at its start."""


def bytes_of(program: Program, operation: Operation, computation: Computation) -> float:
    """Return what an operation reads and writes, of what it reads in part that part."""
    if operation.kind in _FREE:
        return 0
    operands = computation.operands(operation)
    match operation.kind:
        case "slice" | "dynamic-slice":
            return operation.moved + _share(operands[0], operation)
        case "copy-start" | "slice-start":  # (result, operand, context) or (operand, result, ..)
            return sum(array.moved for array in operation.arrays[:2])
        case "dynamic-update-slice":
            return 2 * _share(operation, operands[1])
        case "gather":
            return operation.moved + _share(operands[0], operation) + operands[1].moved
        case "scatter":
            return 2 * _share(operation, operands[-1]) + operands[1].moved
        case "fusion":
            return _of_fusion(program, operation, operands)
    is_started = operation.kind.endswith("-start")  # whose results name the operands again
    made = operation.arrays[-1].moved if is_started else operation.moved
    return made + sum(operand.moved for operand in operands)


def _share(whole: Operation, part: Operation) -> int:
    """Return the bytes of a part of an array, which lies where the whole does."""
    return part.arrays[0]._replace(layout=whole.arrays[0].layout).moved


def _of_fusion(program: Program, operation: Operation, operands: list[Operation]) -> float:
    """Return what a fusion reads and writes; of a stack that it looks into, what it looks at."""
    called = next(program.at(operation.calls("calls")), None)
    if called is None:
        return operation.moved + sum(operand.moved for operand in operands)
    readers: dict[str, list[Operation]] = {}
    for each in called.operations.values():
        for name in each.operands:
            readers.setdefault(name, []).append(each)
    parameters = {
        int(each.literal): each for each in called.operations.values() if each.kind == "parameter"
    }
    total = _written(called, called.operations[called.root])
    for index, operand in enumerate(operands):
        parameter = parameters[index]
        parts = [_part(use, parameter) for use in readers.get(parameter.name, ())]
        known = [part for part in parts if part is not None]
        total += sum(known) if len(known) == len(parts) else operand.moved
    return total


def _part(use: Operation, parameter: Operation) -> int | None:
    """Return the bytes of an array that an operation looks at, or None for all."""
    if use.operands[0] != parameter.name:
        return None
    if use.kind in ("slice", "dynamic-slice", "gather"):
        return _share(parameter, use)
    return 0 if use.kind in ("dynamic-update-slice", "scatter") else None


def _written(called: Computation, root: Operation) -> int:
    """Return what a fusion writes, of an array that it changes in place the change."""
    operands = called.operands(root)
    if root.kind == "tuple":
        return sum(_written(called, operand) for operand in operands)
    if root.kind in ("bitcast", "copy") and operands[0].kind == "dynamic-update-slice":
        return _written(called, operands[0])
    return _share(root, operands[1]) if root.kind == "dynamic-update-slice" else root.moved
