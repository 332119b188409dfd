"""A compiled program's text, read: its computations, and the operations in each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple


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
        return math.ceil(self.size * self._bits / 8)

    @property
    def padded(self) -> int:
        """Bytes that it takes: of the tiles that it lies in, every one in full."""
        steps = self._tile
        axes = [int(axis) for axis in reversed(self.layout.partition(":")[0].split(",")) if axis]
        # The layout may be that of what this is a part of.
        if not steps or not self.size or len(axes) != len(self.dims):
            return self.bytes
        sizes = [1] * (len(steps) - len(axes)) + [self.dims[axis] for axis in axes]
        for place, step in enumerate(reversed(steps), 1):
            sizes[-place] = math.ceil(sizes[-place] / step) * step
        return math.ceil(math.prod(sizes) * self._bits / 8)

    @property
    def space(self) -> int:
        """Where it is: 0 is the device's main memory."""
        found = re.search(r"S\((\d+)\)", self.layout)
        return int(found[1]) if found else 0

    @property
    def moved(self) -> int:
        """Bytes between a chip and its memory: of what is kept on the chip itself, none."""
        if not self._tile or not self.dims:
            return self.bytes
        return 0 if self.space == 1 else self.padded

    @property
    def _tile(self) -> list[int]:
        """Sizes of the tiles that it lies in; none where it lies in one piece."""
        _, _, behind = self.layout.partition("T(")
        return [int(step) for step in behind.partition(")")[0].split(",") if step]

    @property
    def _bits(self) -> int:
        """Bits of an element; what has none in its name is no data."""
        found = re.search(r"\d+", self.dtype)
        return int(found[0]) if found else 8 * (self.dtype == "pred")


class Operation(NamedTuple):
    """One line of a program."""

    name: str
    kind: str
    """``fusion``, ``dot``, ``while``, ``all-reduce``, ...."""
    result: Any
    """An :class:`Array`, or a tuple of results."""
    operands: tuple[str, ...]
    """Names, in the same computation."""
    rest: str
    """Everything behind the operands, as it is written."""
    literal: str
    """What stands in the place of the operands: a parameter's number, a constant's value."""

    @property
    def arrays(self) -> tuple[Array, ...]:
        """Its results, those of nested tuples one after the other."""
        is_one = isinstance(self.result, Array)
        return (self.result,) if is_one else tuple(_arrays_of(self.result))

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

    @property
    def path(self) -> str:
        """Which of JAX's operations it comes from, in which transformations; "" if not said."""
        found = re.search(r'op_name="([^"]*)"', self.rest)
        return found[1].replace("\\'", "'") if found else ""

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
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.$-]+) = (.*?) ([a-z][a-z0-9-]*)\((.*)$")
_PARTS = re.compile(r"([()])|\b([a-z]\w*)\[([\d,<= ]*)\](?:\{([^}]*)\})?").findall
_NAMES = re.compile(r"%([\w.$-]+)").findall


def read(text: str) -> Program:
    """Return the program that XLA's text says, as ``Compiled.as_text()`` writes it."""
    computations: dict[str, Computation] = {}
    entry, name, operations = "", "", {}
    for line in text.splitlines():
        if found := _LINE.match(line):
            is_root, label, result, kind, behind = found.groups()
            inside, rest = _enclosed(behind)
            operands = tuple(_NAMES(inside))
            operations[label] = Operation(label, kind, _result(result), operands, rest, inside)
            if is_root:
                computations[name] = Computation(name, operations, label)
        elif header := _HEADER.match(line):
            name, operations = header[2], {}
            entry = name if header[1] else entry
    return Program(computations, entry)


def _enclosed(text: str) -> tuple[str, str]:
    """Split what follows an opening parenthesis at the one that closes it."""
    depth = 1
    for found in re.finditer(r"[()]", text):
        depth += 1 if found[0] == "(" else -1
        if not depth:
            return text[: found.start()], text[found.end() :]
    return text, ""


def _result(shape: str) -> Any:
    """Return the arrays of a shape, in its tuples."""
    open_tuples: list[list[Any]] = [[]]
    for bracket, dtype, dims, layout in _PARTS(shape):
        if bracket == "(":
            open_tuples.append([])
        elif bracket == ")":
            whole = tuple(open_tuples.pop())
            open_tuples[-1].append(whole)
        else:
            sizes = tuple(int(size.strip("<= ")) for size in dims.split(",") if size)
            open_tuples[-1].append(Array(dtype, sizes, layout))
    return open_tuples[0][0]


def _arrays_of(result: Any) -> Iterator[Array]:
    """Yield the arrays of a result, those inside of tuples too."""
    if isinstance(result, Array):
        yield result
    else:
        for each in result:
            yield from _arrays_of(each)
