"""A compiled program as its compiler prints it: operations in the order in which they run."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_ARRAY = re.compile(r"([a-z]\w*)\[([^\]]*)\](?:\{([^}]*)\})?")
_LINE = re.compile(r"\s+(ROOT )?%?([\w.\-]+) = ")
_CALLED = re.compile(r"(calls|body|condition|to_apply)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"(?:branch|true|false)_computations?=\{?([^,}]*(?:, ?%[^,}]*)*)")
_PATH = re.compile(r'op_name="([^"]*)"')
_FRAME = re.compile(r"stack_frame_id=(\d+)")


class Array(NamedTuple):
    """The type of one array of a program."""

    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    """With what a tiled layout pads."""
    space: int
    """Where it is: 0 is the device's main memory."""


class Operation(NamedTuple):
    """One operation of a program."""

    name: str
    kind: str
    """A fusion that is a kernel of its own, such as a product's, is a ``custom-fusion``."""
    result: Any
    """An :class:`Array`, or a list of results."""
    operands: tuple[str, ...]
    place: int
    """Of a parameter, or of the part of a tuple that is taken."""
    called: tuple[tuple[str, str], ...]
    """``("body", name)`` and so on: the computations that it runs."""
    path: str
    """Which of JAX's operations it comes from, in which transformations; "" if it is not said."""
    frame: int
    """Of the source line; 0 if it is not said."""


class Computation(NamedTuple):
    """Operations in the order in which they run."""

    operations: list[Operation]
    root: str
    """The one whose result is the whole's."""


class Program(NamedTuple):
    """What a compiled program consists of."""

    entry: str
    computations: dict[str, Computation]
    donated: frozenset[int]
    """Results that take the place of an argument."""
    sources: dict[int, tuple[str, ...]]
    """Frame -> ``file:line``, the innermost first."""


def parse(text: str) -> Program:
    """Read a program's text, as ``compiled.as_text()`` returns it."""
    computations: dict[str, Computation] = {}
    entry, name, operations = "", "", []
    for line in text.splitlines():
        if (found := _LINE.match(line)) is not None:
            operations.append(_operation(found[2], line[found.end() :]))
            if found[1]:
                computations[name] = Computation(operations, found[2])
        elif line.endswith("{"):
            name, operations = line.removeprefix("ENTRY ").split(" ", 1)[0].lstrip("%"), []
            entry = name if line.startswith("ENTRY ") else entry
    aliases = re.search(r"input_output_alias=\{ (.*?) \}, ", text[: text.index("\n")])
    donated = re.findall(r"\{(\d*)\}: \(", aliases[1] if aliases else "")
    return Program(entry, computations, frozenset(int(i or 0) for i in donated), _sources(text))


def arrays_of(result: Any) -> Iterator[Any]:
    """Yield the arrays of a result, those inside tuples too."""
    if isinstance(result, list):
        for each in result:
            yield from arrays_of(each)
    else:
        yield result


def _operation(name: str, text: str) -> Operation:
    """Read what follows a name: type, kind, operands and attributes."""
    text = re.sub(r"/\*.*?\*/", "", text)
    result, end = _type(text, 0)
    kind, _, rest = text[end:].strip().partition("(")
    inside, rest = _enclosed(rest)
    is_leaf = kind in ("parameter", "constant")
    called = _CALLED.findall(rest)
    if (branches := _BRANCHES.search(rest)) is not None:
        called += [("branch", each) for each in re.findall(r"%?([\w.\-]+)", branches[1])]
    place = int(inside) if kind == "parameter" else -1
    if (taken := re.search(r"\bindex=(\d+)", rest)) is not None:
        place = int(taken[1])
    if kind == "fusion" and "kind=kCustom" in rest:
        kind = "custom-fusion"
    path, frame = _PATH.search(rest), _FRAME.search(rest)
    return Operation(
        name,
        kind,
        result,
        () if is_leaf else tuple(re.findall(r"%([\w.\-]+)", inside)),
        place,
        tuple(called),
        path[1].replace("\\'", "'") if path else "",
        int(frame[1]) if frame else 0,
    )


def _type(text: str, at: int) -> tuple[Any, int]:
    """Read a type, and return where it ends."""
    if text[at] != "(":
        found = _ARRAY.match(text, at)
        if found is None:
            raise ValueError(f"there is no type of an array at {text[at : at + 60]!r}")
        return _array(found[1], found[2], found[3] or ""), found.end()
    parts, at = [], at + 1
    while text[at] != ")":
        part, at = _type(text, at)
        parts.append(part)
        while text[at] in ", ":
            at += 1
    return parts, at + 1


def _array(dtype: str, sizes: str, layout: str) -> Array:
    """Return the type of an array, with its bytes in its layout."""
    shape = tuple(int(size.lstrip("<=")) for size in sizes.split(",") if size)
    bits = re.search(r"\d+", dtype)
    width = int(bits[0]) if bits else 8 * (dtype == "pred")
    order, _, tiling = layout.partition(":")
    sizes_in_order = [shape[int(axis)] for axis in reversed(order.split(",")) if axis]
    if (tile := re.search(r"T\(([\d,]+)\)", tiling)) is not None and 0 not in shape:
        steps = [int(step) for step in tile[1].split(",")]
        padded = [1] * (len(steps) - len(sizes_in_order)) + sizes_in_order
        for axis, step in enumerate(reversed(steps), 1):
            padded[-axis] = math.ceil(padded[-axis] / step) * step
        sizes_in_order = padded
    count = math.prod(sizes_in_order) if layout else math.prod(shape)
    space = re.search(r"S\((\d+)\)", tiling)
    return Array(dtype, shape, math.ceil(count * width / 8), int(space[1]) if space else 0)


def _enclosed(text: str) -> tuple[str, str]:
    """Split what follows an opening parenthesis at the one that closes it."""
    depth = 1
    for at in (found.start() for found in re.finditer(r"[()]", text)):
        depth += 1 if text[at] == "(" else -1
        if not depth:
            return text[:at], text[at + 1 :]
    return text, ""


def _sources(text: str) -> dict[int, tuple[str, ...]]:
    """Return the lines that each frame stands for, the innermost first."""
    header = text[: text.find("\n%")] if "\n%" in text else text[: text.find("\nENTRY")]
    files = dict(re.findall(r'^(\d+) "([^"]*)"$', _table(header, "FileNames"), re.M))
    lines = re.findall(
        r"^(\d+) \{file_name_id=(\d+) .*?line=(\d+)", _table(header, "FileLocations"), re.M
    )
    places = {number: f"{files.get(file, '?')}:{line}" for number, file, line in lines}
    found: dict[int, tuple[str, ...]] = {}
    frames = re.findall(
        r"^(\d+) \{file_location_id=(\d+)(?: parent_frame_id=(\d+))?",
        _table(header, "StackFrames"),
        re.M,
    )
    for number, place, parent in frames:  # a parent is written one higher, and comes first
        above = found.get(int(parent or 1) - 1, ())
        found[int(number)] = (places.get(place, "?"), *above)
    return found


def _table(header: str, title: str) -> str:
    """Return the lines under a title."""
    _, _, rest = header.partition(f"{title}\n")
    return rest.partition("\n\n")[0]
