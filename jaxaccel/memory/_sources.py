"""Which line of a program's source an array comes from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from jaxaccel._hlo import Operation

Sources = Mapping[int, tuple[str, ...]]
"""Frame -> its lines, ``file:line``, the innermost first."""

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = tuple(
    f"{os.sep}site-packages{os.sep}{each}{os.sep}" for each in ("jax", "flax", "optax")
)


def lines_of(operation: Operation, sources: Sources) -> Sequence[str]:
    """Return the lines that an operation comes from, the innermost first."""
    frame = re.search(r"stack_frame_id=(\d+)", operation.rest)
    return sources.get(int(frame[1]), ()) if frame else ()


def calling_line(lines: Sequence[str]) -> str:
    """Return the line that calls a layer or an operation, as ``file:line``; "" if none is known.

    The innermost one outside of JAX, flax and optax and of the layers themselves: a line of the
    model, which may be the user's own or one of ``jaxaccel.models``.
    """
    outside = [each for each in lines if not any(library in each for library in _LIBRARIES)]
    return next((each for each in outside if not _is_layer(each)), next(iter(lines), ""))


def _is_layer(line: str) -> bool:
    """Return whether a line is of this package's layers, functions or core."""
    if not line.startswith(_PACKAGE):
        return False
    room, _, rest = line.removeprefix(_PACKAGE).partition(os.sep)
    return not rest or room in ("functional", "nn", "precision", "memory")


def short(line: str) -> str:
    """Return ``folder/file:line``."""
    return "/".join(line.split(os.sep)[-2:])


def sources_of(text: str) -> Sources:
    """Return the lines that each frame of a compiled program's text stands for."""
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
