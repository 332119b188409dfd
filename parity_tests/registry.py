"""The table that drives the tests and the docs: every row, found by walking the rooms' folders."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

HOW_NOT_WHAT = {"foreach", "fused", "capturable", "differentiable", "last_epoch", "device"}
"""Switches of PyTorch that say how something is computed, and not what."""


class Case(NamedTuple):
    """One row: a function, its arguments, its judge, and why the row exists.

    ``kwargs`` go unchanged to ``jaxaccel.<function>`` and ``oracle``.
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

    @property
    def is_quick(self) -> bool:
        """Whether the quick tier runs the row: a function's first, its fullest, one that says so.

        The fullest has the most arguments. ``options["quick"]`` is what the other two cannot show.
        """
        chosen = _first_and_fullest(self.function)
        return "quick" in self.options or any(row is self for row in chosen)


def lookup(package: str, dotted: str) -> Any:
    """Return ``package.<room>.<name>`` for a row's function name."""
    room, name = dotted.rsplit(".", 1)
    return getattr(importlib.import_module(f"{package}.{room}"), name)


def oracle_of(case: Case) -> Any:
    """Return the PyTorch object that a row's ``oracle`` names."""
    module, name = case.oracle.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


@functools.cache
def rows() -> tuple[Case, ...]:
    """Return every row of the tables: each ``CASES`` of a file ``<room>/rows_<family>.py``."""
    found: dict[int, Case] = {}
    for path in sorted(Path(__file__).parent.glob("*/rows_*.py")):
        module = importlib.import_module(f"{__package__}.{path.parent.name}.{path.stem}")
        # A table may collect others: the same row is counted once.
        found |= {id(row): row for row in getattr(module, "CASES", ())}
    return tuple(found.values())


@functools.cache
def _first_and_fullest(function: str) -> tuple[Case, ...]:
    own = [row for row in rows() if row.function == function]
    return (own[0], max(own, key=lambda row: len(row.kwargs))) if own else ()
