"""Which operation of PyTorch's an equation belongs to, by the frames that it was traced in."""

from __future__ import annotations

import functools
import re
from importlib.metadata import version
from types import CodeType
from typing import Any, NamedTuple

from jaxaccel.precision._autocast_foreign import FOREIGN, Composite


class Place(NamedTuple):
    """Where a composite was called."""

    composite: Composite
    path: tuple[Any, ...]
    """The calls that led to it: two of one path in a row are taken for one."""


@functools.cache
def _table() -> dict[str, list[tuple[str, Composite]]]:
    """Return the composites of the installed versions: function -> (file, composite)."""
    table: dict[str, list[tuple[str, Composite]]] = {}
    for package, versions in FOREIGN.items():
        installed = tuple(int(part) for part in re.findall(r"\d+", version(package))[:2])
        known = max((each for each in versions if each <= installed), default=min(versions))
        for (file, name), composite in versions[known].items():
            table.setdefault(name, []).append((file, composite))
    return table


def _composite_at(file: str, name: str) -> Composite | None:
    """Return the composite that a function of a file is, if it is one."""
    for end, composite in _table().get(name, ()):
        if file.replace("\\", "/").endswith("/" + end):
            return composite
    return None


_seen: dict[int, tuple[CodeType, Composite | None]] = {}


def _composite_of_code(code: CodeType) -> Composite | None:
    """Return the composite that a code object is, remembered by the object."""
    known = _seen.get(id(code))
    if known is None:
        known = _seen[id(code)] = (code, _composite_at(code.co_filename, code.co_qualname))
    return known[1]


def place_of(equation: Any) -> Place | None:
    """Return the outermost composite that an equation is part of.

    Its frames begin with the function that was traced: whoever was the first to trace a compiled
    function is not among them.
    """
    traceback = equation.source_info.traceback
    if traceback is None:
        return None
    codes, instructions = traceback.raw_frames()
    known = [_composite_of_code(code) for code in codes]
    index = max((i for i, composite in enumerate(known) if composite is not None), default=None)
    if index is None:
        return None
    outside = zip(codes[index + 1 :], instructions[index + 1 :], strict=True)
    composite = known[index]
    assert composite is not None
    return Place(composite, tuple((id(code), at) for code, at in outside))


def composite_of_function(function: Any) -> Composite | None:
    """Return the composite that a traced function is by its ``debug_info``: its file and name."""
    return _composite_at(function.func_filename or "", function.func_name)
