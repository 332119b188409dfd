"""Numbers drawn on the host have no place in a function that JAX traces."""

from __future__ import annotations

from jaxaccel._tracing import is_tracing


def check_no_trace() -> None:
    """Raise when JAX is tracing: the numbers drawn would become constants of the program."""
    if is_tracing():
        raise RuntimeError(
            "a jaxaccel.random.Generator draws on the host and cannot be used while JAX traces a "
            "function (jit, grad, vmap, scan): its numbers would become constants of the compiled "
            "program. Draw before the call and pass the numbers as an argument."
        )
