"""Numbers drawn on the host have no place in a function that JAX traces."""

from __future__ import annotations

import functools
from typing import Any

import jax
from jax.extend.core import get_opaque_trace_state


def check_no_trace() -> None:
    """Raise when JAX is tracing: the numbers drawn would become constants of the program."""
    if get_opaque_trace_state(convention="jaxaccel") != _outside_of_traces():
        raise RuntimeError(
            "a jaxaccel.random.Generator draws on the host and cannot be used while JAX traces a "
            "function (jit, grad, vmap, scan): its numbers would become constants of the compiled "
            "program. Draw before the call and pass the numbers as an argument."
        )


@functools.cache
def _outside_of_traces() -> Any:
    with jax.ensure_compile_time_eval():
        return get_opaque_trace_state(convention="jaxaccel")
