"""The parity tables: what is tested against which PyTorch object, from the rows of the tests.

``python docs/_ext/parity_table.py`` writes a line per room into README.md between two markers;
with ``--check`` it changes nothing and fails when the table there is an old one. The documentation
puts a line per function between the same markers of its page when it is built.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
OTHER_JUDGES = {
    "random": "torch.Generator",
    "data": "torch.utils.data",
    "training": "torch.autograd",
    "tuning": "lightning.pytorch.tuner",
    "precision": "torch.amp",
    "parallel": "torch.nn.parallel",
    "aot": "jax.experimental.topologies",
    "memory": "torch.utils.checkpoint",
    "interop": "deepspeed 0.19.8",
    "monitoring": "torch.autograd",
}
"""Rooms whose functions are not rows of a table: what their tests compare with."""

BEGIN, END = "<!-- parity table -->", "<!-- /parity table -->"


def parity_table() -> str:
    """Return the table in Markdown: a line per function, rooms in the library's order."""
    lines = [
        "| jaxaccel | judge | cases | options covered |",
        "|---|---|--:|---|",
    ]
    for function, cases in _rows_by_function().items():
        judges = _code(case.oracle for case in cases if "." in case.oracle)
        judges = judges or "the published formula"
        options = _code(option for case in cases for option in case.kwargs) or "has none"
        lines.append(
            f"| `{function}` | {judges or 'the published formula'} | {len(cases)} | {options} |"
        )
    return "\n".join(lines)


def room_table() -> str:
    """Return the table in Markdown: a line per room, in the library's order."""
    lines = ["| room | mostly judged by | functions | cases |", "|---|---|--:|--:|"]
    by_function = _rows_by_function()
    import jaxaccel

    for room in jaxaccel.__all__:
        tables = [cases for name, cases in by_function.items() if name.split(".")[0] == room]
        if tables:
            judges = Counter(case.oracle.rpartition(".")[0] for cases in tables for case in cases)
            ((judge, _),) = judges.most_common(1)
            functions, cases = len(tables), f"{sum(map(len, tables)):,}"
        else:
            public = vars(getattr(jaxaccel, room))
            functions = sum(callable(public[name]) for name in getattr(jaxaccel, room).__all__)
            judge, cases = OTHER_JUDGES[room], "own tests"
        lines.append(f"| `ja.{room}` | `{judge}` | {functions} | {cases} |")
    return "\n".join(lines)


def _rows_by_function() -> dict[str, list[Any]]:
    """Return all rows by function."""
    sys.path.insert(0, str(ROOT))
    import jaxaccel
    from parity_tests.registry import rows

    def place(case: Any) -> tuple[int, int]:
        room, name = case.function.split(".")
        return jaxaccel.__all__.index(room), getattr(jaxaccel, room).__all__.index(name)

    by_function: dict[str, list[Any]] = {}
    for case in sorted(rows(), key=place):
        by_function.setdefault(case.function, []).append(case)
    return by_function


def _code(names: Iterable[str]) -> str:
    """Return names, each once, as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names))


def with_table(text: str, where: str) -> str:
    """Return a page with its current table between the markers: rooms for README, or functions.

    Raises:
        ValueError: the page has no markers, or more than one pair.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    table = room_table() if where == "README.md" else parity_table()
    block = f"{BEGIN}\n{table}\n{END}"
    text, count = pattern.subn(lambda _: block, text)
    if count != 1:
        raise ValueError(f"{where}: expected one block {BEGIN} ... {END}, found {count}")
    return text


def setup(app: Any) -> dict[str, Any]:
    """Fill in the page ``parity`` while Sphinx reads it."""

    def fill(app: Any, name: str, source: list[str]) -> None:
        if name == "parity":
            source[0] = with_table(source[0], "parity.md")

    app.connect("source-read", fill)
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    from in_place import rewrite  # beside this file, as the script's folder is on the path

    sys.exit(
        rewrite(
            ROOT / "README.md",
            lambda old: with_table(old, "README.md"),
            "docs/_ext/parity_table.py",
        )
    )
