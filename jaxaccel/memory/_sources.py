"""Which line of a program's source an array comes from."""

from __future__ import annotations

import os
from collections.abc import Sequence

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARIES = tuple(
    f"{os.sep}site-packages{os.sep}{each}{os.sep}" for each in ("jax", "flax", "optax")
)


def calling_line(frames: Sequence[str]) -> str:
    """Return the line that calls a layer or an operation, as ``file:line``; "" if none is known.

    The innermost one outside of JAX, flax and optax and of the layers themselves: a line of the
    model, which may be the user's own or one of ``jaxaccel.models``.
    """
    outside = [each for each in frames if not any(library in each for library in _LIBRARIES)]
    return next((each for each in outside if not _is_layer(each)), next(iter(frames), ""))


def _is_layer(frame: str) -> bool:
    """Return whether a line is of this package's layers, functions or core."""
    if not frame.startswith(_PACKAGE):
        return False
    room, _, rest = frame.removeprefix(_PACKAGE).partition(os.sep)
    return not rest or room in ("functional", "nn", "precision", "memory")


def short(line: str) -> str:
    """Return ``folder/file:line``."""
    return "/".join(line.split(os.sep)[-2:])
