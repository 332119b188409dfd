"""Write one API page per room, from its ``__all__`` and nothing else, before Sphinx reads pages."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from flax import nnx
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.inspect import stringify_signature

import jaxaccel

TYPES = "jaxaccel._types"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hooks."""
    app.connect("builder-inited", _write_pages)
    app.connect("autodoc-process-signature", _signature_as_written)
    # Before napoleon, whose priority is 500.
    app.connect("autodoc-process-docstring", _prose_before_a_colon_is_not_a_type, priority=400)
    return {"parallel_read_safe": True}


def _write_pages(app: Sphinx) -> None:
    """Fill ``docs/api`` anew; a page whose text is the same is left alone, so it is not reread."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {room: room_page(room) for room in jaxaccel.__all__}
    pages["types"] = types_page()
    pages["index"] = index_page()
    for path in folder.glob("*.rst"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def index_page() -> str:
    """Return the page that lists the rooms with their summaries."""
    lines = [*heading("API"), ".. toctree::", "   :hidden:", ""]
    lines += [f"   {name}" for name in (*jaxaccel.__all__, "types")]
    lines += ["", "``import jaxaccel as ja`` is enough: rooms are loaded when they are used.", ""]
    for room in jaxaccel.__all__:
        summary = (import_module(f"jaxaccel.{room}").__doc__ or "").strip().splitlines()[0]
        lines.append(f"- :doc:`ja.{room} <{room}>`: {summary}")
    return "\n".join([*lines, ""])


def room_page(room: str) -> str:
    """Return the page of a room: its docstring, a table of its names, then each of them.

    All in the order of ``__all__``. Words of annotations are on the page of types.

    Raises:
        ExtensionError: a name in ``__all__`` is missing or has no docstring of its own.
    """
    module = import_module(f"jaxaccel.{room}")
    lines = [*heading(module.__name__), f".. automodule:: {module.__name__}", ""]
    names = [n for n in module.__all__ if typing.get_origin(getattr(module, n, None)) is None]
    lines += [*_table(module, names), ""]
    for name in names:
        lines += [*_entry(module, name), ""]
    return "\n".join(lines)


def _entry(module: ModuleType, name: str) -> list[str]:
    """Return the directive of one public name."""
    value = getattr(module, name, None)
    if value is None or not _own_docstring(value):
        raise ExtensionError(f"{module.__name__}.{name} is public and has no docstring")
    if not inspect.isclass(value):
        return [f".. autofunction:: {name}"]
    # A layer's call may be its private base's; what nnx and tuples bring is documented there.
    inherited = "   :inherited-members: Module, tuple"
    lines = [f".. autoclass:: {name}", "   :members:", inherited, "   :special-members: __call__"]
    lent = ", ".join(_from_other_rooms(value, module.__name__))
    return [*lines, f"   :exclude-members: {lent}"] if lent else lines


def _from_other_rooms(cls: type, room: str) -> list[str]:
    """Return the members that are functions of another room, which has a page for them."""
    found = [(name, getattr(cls, name)) for name in dir(cls) if not name.startswith("_")]
    return [
        name
        for name, value in found
        if inspect.isfunction(value)
        and value.__module__.startswith("jaxaccel.")
        and not value.__module__.startswith(f"{room}.")
    ]


def _table(module: ModuleType, names: list[str]) -> list[str]:
    """Return the table of a room's names, each with the first line of its docstring."""
    lines = [".. list-table::", "   :class: names", ""]
    for name in names:
        value = getattr(module, name, None)
        kind = "class" if inspect.isclass(value) else "func"
        summary = ((value and _own_docstring(value)) or "").strip().partition("\n")[0]
        lines += [
            f"   * - :py:{kind}:`{name} <{module.__name__}.{name}>`",
            f"     - {summary}",
        ]
    return lines


def _own_docstring(value: Any) -> str | None:
    """Return the docstring that somebody wrote; a NamedTuple without one invents its own."""
    text = value.__doc__
    invented = inspect.isclass(value) and (text or "").startswith(f"{value.__name__}(")
    return None if invented else text


def types_page() -> str:
    """Return the page of the words that signatures use, from the docstrings beside them."""
    lines = [*heading("Types"), "The words that signatures use.", ""]
    for name, text in _documented_types().items():
        body = [f"   {line}" if line else "" for line in inspect.cleandoc(text).splitlines()]
        lines += [f".. py:type:: {name}", "", *body, ""]
    return "\n".join(lines)


def _documented_types() -> dict[str, str]:
    """Return the aliases and protocols of the types module, with their docstrings."""
    tree = ast.parse(inspect.getsource(import_module(TYPES)))
    found: dict[str, str] = {}
    for node, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef):
            found[node.name] = ast.get_docstring(node) or ""
        elif (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[node.target.id] = str(after.value.value)
    return found


def heading(text: str) -> list[str]:
    """Return a title."""
    return [text, "=" * len(text), ""]


def _signature_as_written(
    app: Sphinx, kind: str, name: str, value: Any, options: Any, arguments: Any, returns: Any
) -> tuple[str, str] | None:
    """Show annotations as the source has them (``Hyperparameter``, not what it stands for)."""
    del app, name, options, arguments, returns
    if kind not in ("class", "function", "method"):
        return None
    found = inspect.signature(value)
    if kind == "class" and issubclass(value, nnx.Module):  # its metaclass hides the constructor's
        found = inspect.signature(value.__init__)
    if kind == "method" or (kind == "class" and issubclass(value, nnx.Module)):
        found = found.replace(parameters=list(found.parameters.values())[1:])
    parameters = [
        each.replace(annotation=getattr(each.annotation, "__forward_arg__", each.annotation))
        for each in found.parameters.values()
    ]
    text = stringify_signature(found.replace(parameters=parameters))
    text = re.sub(r"<class '([\w.]+)'>", r"\1", text)
    arguments, _, returns = text.rpartition(" -> ")
    return (arguments, returns) if arguments else (text, "")


def _prose_before_a_colon_is_not_a_type(
    app: Sphinx, kind: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Keep napoleon from reading ``A schedule: ...`` in Returns, or of a field, as a type."""
    del app, name, value, options
    if kind == "attribute":
        lines[:0] = ["..", ""]  # an empty comment, in the place where napoleon looks
    if "Returns:" in lines:
        start = lines.index("Returns:")
        lines[start] = ":returns:"
