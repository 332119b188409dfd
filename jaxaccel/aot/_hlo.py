"""A compiled program's text, read: its computations, and the operations in each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

WIDTHS = {
    **dict.fromkeys(("s4", "u4", "f4e2m1fn", "s2", "u2", "s1", "u1"), 0.5),
    **dict.fromkeys(("pred", "s8", "u8"), 1),
    **dict.fromkeys(("s16", "u16", "bf16", "f16"), 2),
    **dict.fromkeys(("s32", "u32", "f32"), 4),
    **dict.fromkeys(("s64", "u64", "f64", "c64"), 8),
    "c128": 16,
    "token": 0,
    "opaque": 0,
}
"""Bytes of an element; all of the float8s have one."""


class Array(NamedTuple):
    """What an operation makes, or one of several."""

    dtype: str
    dims: tuple[int, ...]
    layout: str = ""
    """As it is written: ``1,0:T(8,128)S(1)``, the fastest axis first, tiles, a kind of memory."""

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.dims)

    @property
    def bytes(self) -> int:
        """Without what a machine's tiles are padded with."""
        return math.ceil(self.size * WIDTHS.get(self.dtype, 1))

    @property
    def moved(self) -> int:
        """Bytes between a chip and its memory: tiles in full, nothing of what is on the chip."""
        order, _, rest = self.layout.partition(":")
        tile = re.match(r"T\(([\d,]+)\)", rest)
        if tile is None:
            return self.bytes
        if "S(1)" in rest:
            return 0
        axes = [int(axis) for axis in order.split(",") if axis]
        if len(axes) != len(self.dims):  # the layout of what this is a part of
            return self.bytes
        sizes = [self.dims[axis] for axis in axes]
        for place, length in enumerate(reversed(tile[1].split(","))):
            if place < len(sizes):
                sizes[place] = -(-sizes[place] // int(length)) * int(length)
        return math.ceil(math.prod(sizes) * WIDTHS.get(self.dtype, 1))


class Operation(NamedTuple):
    """One line of a program."""

    name: str
    kind: str
    """``fusion``, ``dot``, ``while``, ``all-reduce``, ...."""
    arrays: tuple[Array, ...]
    """Its results; those of nested tuples too."""
    operands: tuple[str, ...]
    """Names, in the same computation."""
    rest: str
    """Everything behind the operands, as it is written."""
    literal: str
    """What stands in the place of the operands: a parameter's number, a constant's value."""

    @property
    def size(self) -> int:
        """How many elements all its results have."""
        return sum(array.size for array in self.arrays)

    @property
    def bytes(self) -> int:
        """Of all its results."""
        return sum(array.bytes for array in self.arrays)

    @property
    def moved(self) -> int:
        """Of all its results, what crosses to the memory."""
        return sum(array.moved for array in self.arrays)

    def attribute(self, name: str) -> str | None:
        """Return what is written behind ``name=``, up to the next attribute."""
        found = re.search(rf"[ ,]{name}=({_BRACED}|[^ ,{{][^,]*)", self.rest)
        return found[1] if found else None

    def numbers(self, name: str) -> tuple[int, ...]:
        """Return an attribute's numbers, of which there may be none."""
        return tuple(map(int, re.findall(r"\d+", self.attribute(name) or "")))

    def calls(self, *names: str) -> list[str]:
        """Return the computations that attributes name, in their order."""
        return [each for name in names for each in _NAMES(self.attribute(name) or "")]


class Computation(NamedTuple):
    """A list of operations, in the order in which a machine runs them."""

    name: str
    operations: dict[str, Operation]
    root: str
    """The operation whose result is the computation's."""

    def operands(self, operation: Operation) -> list[Operation]:
        """Return what an operation reads."""
        return [self.operations[name] for name in operation.operands if name in self.operations]


class Program(NamedTuple):
    """A whole program, for one device."""

    computations: dict[str, Computation]
    entry: str

    def at(self, names: list[str]) -> Iterator[Computation]:
        """Yield the computations of these names."""
        return (self.computations[name] for name in names)


_BRACED = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_HEADER = re.compile(r"^(ENTRY )?%?([\w.$-]+) \(.*\{$")
_LINE = re.compile(
    r"^\s+(ROOT )?%?([\w.$-]+) = (.*?) ([a-z][a-z0-9-]*)\(((?:[^()]|\([^()]*\))*)\)(.*)$"
)
_ARRAY = re.compile(r"\b([a-z]\w*)\[([\d,<= ]*)\](?:\{([^}]*)\})?")
_NAMES = re.compile(r"%([\w.$-]+)").findall


def read(text: str) -> Program:
    """Return the program that XLA's text says, as ``Compiled.as_text()`` writes it."""
    computations: dict[str, Computation] = {}
    entry, name, root, operations = "", "", "", {}
    for line in text.splitlines():
        if header := _HEADER.match(line):
            name, root, operations = header[2], "", {}
            entry = name if header[1] else entry
        elif line == "}" and name:
            computations[name] = Computation(name, operations, root)
            name = ""
        elif name and (found := _LINE.match(line)):
            is_root, label, shape, kind, inside, rest = found.groups()
            operands = tuple(_NAMES(inside))
            operations[label] = Operation(label, kind, _arrays(shape), operands, rest, inside)
            root = label if is_root else root
    return Program(computations, entry)


def _arrays(shape: str) -> tuple[Array, ...]:
    """Return the arrays of a shape, those of a tuple one after the other."""
    return tuple(
        Array(dtype, tuple(int(size.strip("<= ")) for size in dims.split(",") if size), layout)
        for dtype, dims, layout in _ARRAY.findall(shape)
    )


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
