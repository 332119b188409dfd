"""The table that drives the tests and the docs: every row, found by walking the rooms' folders."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Case(NamedTuple):
    """One row: a function, its arguments, its judge, and why the row exists.

    ``kwargs`` go unchanged to ``jaxaccel.<function>``, ``torch_ref.<function>`` and ``oracle``.
    ``options`` hold what the area's harness needs beyond the call (and what cannot be done, with
    the reason); the area's test says which keys it knows.
    """

    function: str
    kwargs: Mapping[str, Any]
    oracle: str
    why: str
    options: Mapping[str, Any] = {}

    @property
    def id(self) -> str:
        return f"{self.function.split('.')[-1]}-{self.why.replace(' ', '-')}"


@functools.cache
def rows() -> tuple[Case, ...]:
    """Return every row of the tables: each ``CASES`` of a file ``<room>/rows_<family>.py``."""
    found: dict[int, Case] = {}
    for path in sorted(Path(__file__).parent.glob("*/rows_*.py")):
        module = importlib.import_module(f"{__package__}.{path.parent.name}.{path.stem}")
        # A table may collect others: the same row is counted once.
        found |= {id(row): row for row in getattr(module, "CASES", ())}
    return tuple(found.values())
