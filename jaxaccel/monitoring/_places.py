"""Where an operation of a program comes from: its layer, its pass, its line."""

from __future__ import annotations

import functools
import linecache
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax

from jaxaccel import functional
from jaxaccel.monitoring._layer_scopes import EACH, Layer, layer_of

_PACKAGE: Final = __name__.partition(".")[0]
_NOT_THE_USERS: Final = ("jax", "jaxlib", "flax", "optax", "numpy", _PACKAGE)


class Line(NamedTuple):
    """A line of a file."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        text = linecache.getline(self.file, self.number).strip()
        return f"{self.file}:{self.number} in {self.function}" + (f": {text}" if text else "")


class Place(NamedTuple):
    """Where an operation comes from."""

    layer: Layer | None
    phase: str
    """``"forward"``, ``"backward"`` or ``"outside"`` of what is differentiated."""
    line: Line | None
    """The innermost line that is neither JAX's nor this library's; where none is known, ours."""
    function: str | None
    """The public function of this library or of ``jax.numpy`` that it is part of."""


def place_of(equations: Sequence[Any], iterations: Sequence[int]) -> Place:
    """Return where an operation comes from.

    Args:
        equations: The operation, behind those that hold it, the outermost first.
        iterations: Of the loops among those, in the same order.
    """
    scopes = "/".join(str(equation.source_info.name_stack) for equation in equations)
    layer = layer_of(scopes)
    if layer is not None:
        layer = layer._replace(path=_numbered(layer.path, iterations))
    phase = "outside"
    if "transpose(" in scopes:
        phase = "backward"
    elif "jvp(" in scopes:
        phase = "forward"
    frames = [frame for equation in reversed(equations) for frame in _frames(equation)]
    users = [frame for frame in frames if _is_users(frame[0])]
    ours = [frame for frame in frames if _package_of(frame[0]) == _PACKAGE]
    line = Line(*(users or ours)[0]) if users or ours else None
    return Place(layer, phase, line, _function(frames))


def _numbered(path: str, iterations: Sequence[int]) -> str:
    """Return a path with the numbers of layers that scans have called, outermost first."""
    parts = path.split(".")
    own = iter(iterations[len(iterations) - parts.count(EACH) :] if iterations else ())
    return ".".join(str(next(own, EACH)) if part == EACH else part for part in parts)


def _frames(equation: Any) -> list[tuple[str, int, str]]:
    """Return the lines that an operation was traced in, innermost first."""
    traceback = equation.source_info.traceback
    frames = traceback.frames if traceback is not None else ()
    return [(frame.file_name, frame.line_num, frame.function_name) for frame in frames]


@functools.cache
def _roots() -> tuple[tuple[str, str], ...]:
    """Return the folders of the packages whose lines are not the user's."""
    found = {name: find_spec(name) for name in _NOT_THE_USERS}
    return tuple(
        (name, str(Path(spec.origin).parent))
        for name, spec in found.items()
        if spec is not None and spec.origin is not None
    )


@functools.cache
def _package_of(file: str) -> str | None:
    """Return which of the packages a file is of, None for the user's own."""
    return next((name for name, root in _roots() if file.startswith(root + "/")), None)


def _is_users(file: str) -> bool:
    """Return whether a line is the user's: neither of the packages nor of Python itself."""
    standard = str(Path(functools.__file__).parent)
    is_standard = file.startswith(standard) and "site-packages" not in file
    return _package_of(file) is None and not is_standard and not file.startswith("<frozen")


def _function(frames: Sequence[tuple[str, int, str]]) -> str | None:
    """Return the function of ours or of ``jax.numpy`` that the operation is part of, or None."""
    for file, _, name in frames:
        if _is_users(file):
            return None
        if name.startswith("_"):
            continue
        if _package_of(file) == "jax" and (hasattr(jax.numpy, name) or hasattr(jax.nn, name)):
            return name
        if _package_of(file) == _PACKAGE and hasattr(functional, name):
            return name
    return None
