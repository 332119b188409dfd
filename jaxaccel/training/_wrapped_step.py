"""A function around a step, compiled as the step itself is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer

from jaxaccel.training._step_call import (
    called_with_a_batch,
    check_not_overwritten,
    facts_of,
)
from jaxaccel.training._step_program import compiled_for_leaves


def wrapped_step(run: Callable[..., Any], step: Callable[..., Any], donate: bool) -> Any:
    """Return ``run(state, batch, extra)`` as a step like the one that it calls."""
    compiled = compiled_for_leaves(run, donate)

    def call(state: Any, batch: Any, **extra: Any) -> Any:
        leaves, treedef = jax.tree.flatten(state)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            return run(state, batch, extra)  # part of a larger program
        try:
            return compiled(leaves, treedef, batch, extra)
        except (RuntimeError, ValueError):
            check_not_overwritten(state)
            raise

    def lowered(state: Any, batch: Any, **extra: Any) -> jax.stages.Lowered:
        leaves, treedef = jax.tree.flatten(state)
        return compiled.lower(leaves, treedef, batch, extra)

    return called_with_a_batch(call, lowered, **facts_of(step))
