"""The layer that an operation belongs to, said by the name scopes of a trace."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import jax
from flax import nnx
from flax.errors import TraceContextError

_PATH: Final = "_jaxaccel_path"
_SCOPE: Final = re.compile(r"layer:([\w.*]*):(\w+)")
EACH: Final = "*"
"""Stands in a path for the number of a layer that a scan calls."""


class Layer(NamedTuple):
    """A layer of a model."""

    path: str
    """PyTorch's dotted path, empty for the model itself."""
    kind: str
    """The name of its class."""


@contextlib.contextmanager
def layers_in_scopes() -> Iterator[None]:
    """Enter a context in which calls of nnx modules are traced in a scope that names the module.

    nnx gives its modules no scopes, and a module does not know where in a model it is. So while
    the context lasts the classes have another ``__call__``, and a model that is called tells its
    modules their paths, which ``nnx.split`` and ``nnx.merge`` keep.
    """
    own = [(kind, vars(kind)["__call__"]) for kind in _classes() if "__call__" in vars(kind)]
    for kind, call in own:
        setattr(kind, "__call__", _in_scope(call))  # noqa: B010  (pyright knows no such attribute)
    try:
        yield
    finally:
        for kind, call in own:
            setattr(kind, "__call__", call)  # noqa: B010


def layer_of(scopes: str) -> Layer | None:
    """Return the innermost layer that a stack of scopes names, None where it names none."""
    found = _SCOPE.findall(scopes)
    return Layer(*found[-1]) if found else None


def _classes() -> list[type]:
    """Return the classes of modules there are."""
    found: dict[type, None] = {}
    todo = [nnx.Module]
    while todo:
        for kind in todo.pop().__subclasses__():
            if kind not in found:
                found[kind] = None
                todo.append(kind)
    return list(found)


def _in_scope(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a module's ``__call__`` in a scope of the module's name."""

    @functools.wraps(call)
    def scoped(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_root = _PATH not in vars(self)
        told = _tell_paths(self) if is_root else []
        try:
            path = vars(self).get(_PATH, "")
            with jax.named_scope(f"layer:{path}:{type(self).__name__}"):
                return call(self, *args, **kwargs)
        finally:
            for module in told:
                delattr(module, _PATH)

    return scoped


def _tell_paths(model: nnx.Module) -> list[nnx.Module]:
    """Let the modules of a model know their paths, and return those that do."""
    told: list[nnx.Module] = []
    stacks: dict[tuple[Any, ...], str] = {}
    for path, module in sorted(nnx.iter_modules(model), key=lambda pair: len(pair[0])):
        if (attribute := getattr(module, "torch_stacked", None)) is not None:
            stacks[(*path, attribute)] = attribute
        try:
            setattr(module, _PATH, _in_words(path, stacks))
        except TraceContextError:  # it was made outside of this trace, and nnx holds it fixed
            continue
        told.append(module)
    return told


def _in_words(path: tuple[Any, ...], stacks: dict[tuple[Any, ...], str]) -> str:
    """Return a path with dots, and a star for what a scan counts."""
    ends = range(1, len(path) + 1)
    return ".".join(EACH if path[:end] in stacks else str(path[end - 1]) for end in ends)
