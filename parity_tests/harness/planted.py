"""Planted bugs: one text in the source of one module replaced by another, while a check runs.

The module's functions get the code of the changed source, so that everyone who has imported them
runs it.
"""

import contextlib
import importlib
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pytest


class Mutant(NamedTuple):
    """A bug: where, the text that goes, the text that comes, and the check that must see it."""

    why: str
    module: str
    original: str
    mutated: str
    check: Callable[..., Any]
    row: Any


@contextlib.contextmanager
def traces_forgotten(module):
    """Trace anew, before and after, what has one trace for all calls (``_tracing.traced_once``)."""
    shares_traces = module.split(".")[1] in ("functional", "transforms")
    try:
        if shares_traces:
            jax.clear_caches()
        yield
    finally:
        if shares_traces:
            jax.clear_caches()


@contextlib.contextmanager
def planted(mutant):
    """Run with the bug in place."""
    module = importlib.import_module(mutant.module)
    source = inspect.getsource(module)
    assert source.count(mutant.original) == 1
    changed = source.replace(mutant.original, mutant.mutated)
    namespace = {"__name__": module.__name__}
    exec(compile(changed, f"<{mutant.why}>", "exec", dont_inherit=True), namespace)
    with pytest.MonkeyPatch.context() as patch, traces_forgotten(mutant.module):
        for name, function in vars(module).items():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                own, other = inspect.unwrap(function), inspect.unwrap(namespace[name])
                patch.setattr(own, "__code__", other.__code__)
        yield
