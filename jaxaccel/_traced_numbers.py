"""Traced numbers where Python needs to know the value: which argument it was."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxaccel._call_repr import in_brief
from jaxaccel._kinds import Kind

_PACKAGE = __name__.partition(".")[0] + "."


def traced_refusal(
    owner: str, given: Iterable[tuple[str, Any, Kind]], error: BaseException
) -> TypeError | None:
    """Return what is said instead of JAX's error for a traced number; None for other errors.

    JAX names neither the function nor the argument; a user's own function is left its error.
    """
    if not isinstance(error, jax.errors.ConcretizationTypeError) or not _is_ours(error):
        return None
    traced = [
        (name, value, kind.what)
        for name, value, kind in given
        if kind.is_number and isinstance(value, Tracer) and np.ndim(value) == 0
    ]
    if not traced:
        return None
    names = "' or '".join(name for name, *_ in traced)
    _, value, what = traced[0]
    return TypeError(
        f"{owner}(): argument '{names}' must be {what} whose value is known, not "
        f"{type(value).__name__}\nGot {in_brief(value)}; a traced value is not known yet: name "
        "the argument in jax.jit's static_argnames"
    )


def _is_ours(error: BaseException) -> bool:
    """Return whether it was code of the library that asked for the value."""
    names, trace = [], error.__traceback__
    while trace is not None:
        names.append(_module(trace))
        trace = trace.tb_next
    asking = [name for name in names if not name.startswith("jax.")]
    return bool(asking) and asking[-1].startswith(_PACKAGE)


def _module(trace: types.TracebackType) -> str:
    """Return the name of the module that a frame is of."""
    return trace.tb_frame.f_globals.get("__name__", "")
