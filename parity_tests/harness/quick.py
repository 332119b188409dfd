"""The quick tier as functions that can be called, by the function that they are about."""

import functools
import importlib
import inspect
import itertools
import warnings
from pathlib import Path

import pytest

from parity_tests.registry import Case

ROOT = Path(__file__).parents[1]
PLANTED_BUG = "planted bug"
"""The property of a test under which it reports [a bug, the first test that catches it]."""


@functools.cache
def quick_tests():
    """Return {function of the rows: [(test id, call)]}: what ``pytest -m quick`` runs of rows."""
    found = {}
    for path in sorted(ROOT.glob("*/test_*.py")):
        text = path.read_text(encoding="utf-8")
        if path.parent.name == "house" or not ("mark.parity" in text or "mark.quick" in text):
            continue
        module = importlib.import_module(f"parity_tests.{path.parent.name}.{path.stem}")
        for name, test in vars(module).items():
            for case, arguments in _quick_arguments(test) if name.startswith("test_") else ():
                own = (f"{path.parent.name}/{path.name}::{name}[{case.id}]", _call(test, arguments))
                found.setdefault(case.function, []).append(own)
    return found


def _quick_arguments(test):
    """Yield (row, arguments) for every quick row of a test: of what else it takes, the first."""
    marks = {mark.name: mark for mark in getattr(test, "pytestmark", ())}
    if not marks.keys() & {"parity", "quick"}:
        return
    choices = [
        [dict(zip(names, values, strict=True)) for values in rows]
        for names, rows in map(_names_and_rows, test.pytestmark)
        if names
    ]
    first = [rows[0] for rows in choices]
    for index, rows in enumerate(choices):
        for values in rows:
            cases = [value for value in values.values() if isinstance(value, Case)]
            if cases and ("quick" in marks or all(case.is_quick for case in cases)):
                together = [*first[:index], values, *first[index + 1 :]]
                yield cases[0], dict(itertools.chain(*(part.items() for part in together)))


def _names_and_rows(mark):
    """Return the names and the rows of values of a ``parametrize`` mark."""
    if mark.name != "parametrize":
        return (), ()
    names, rows = mark.args[:2]
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    return names, [row if len(names) > 1 else (row,) for row in rows]


def _call(test, arguments):
    """Return the test with its arguments and the fixtures that patch."""

    def call():
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a module's own filters are pytest's to apply
            wants = set(inspect.signature(test).parameters) - arguments.keys()
            test(**arguments, **dict.fromkeys(wants, patch))

    return call
