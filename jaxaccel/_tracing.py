"""Whether JAX is tracing: what is made then is part of a program, and not at hand."""

from __future__ import annotations

import functools
from typing import Any

import jax
from jax.extend.core import get_opaque_trace_state


def is_tracing() -> bool:
    """Return whether JAX is tracing a function (jit, grad, vmap, scan, eval_shape)."""
    return get_opaque_trace_state(convention="jaxaccel") != _outside_of_traces()


@functools.cache
def _outside_of_traces() -> Any:
    with jax.ensure_compile_time_eval():
        return get_opaque_trace_state(convention="jaxaccel")
