"""Whether JAX is tracing: what is made then is part of a program, and not at hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
from jax.core import eval_context
from jax.extend.core import get_opaque_trace_state

F = TypeVar("F", bound=Callable[..., Any])


def is_tracing() -> bool:
    """Return whether JAX is tracing a function (jit, grad, vmap, scan, eval_shape)."""
    return get_opaque_trace_state(convention="jaxaccel") != _outside_of_traces()


@functools.cache
def _outside_of_traces() -> Any:
    # May be asked first inside of a trace.
    with eval_context():
        return get_opaque_trace_state(convention="jaxaccel")


def traced_once(*static: str) -> Callable[[F], F]:
    """Let calls of a function that are alike share one trace, inside of a larger program.

    A model has dozens of layers of a few shapes: each shape is traced, differentiated and lowered
    once. What runs is the same, as compilers inline such calls first of all. Outside of a program a
    function runs operation by operation as it is: it would be compiled for every shape.

    Args:
        static: Arguments by name that are not arrays, which are given by name.
    """

    def decorate(function: F) -> F:
        shared = jax.jit(function, static_argnames=static)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return (shared if is_tracing() else function)(*args, **kwargs)

        return cast(F, call)

    return decorate
