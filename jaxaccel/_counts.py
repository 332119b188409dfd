"""Step counts: one for a whole tree, or one for every parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._tree import Counts, next_step
from jaxaccel._types import Updates


def check_schedule_step(given: Any) -> None:
    """Raise unless a given ``schedule_step`` is a number of ``scheduler.step()`` calls."""
    is_number = isinstance(given, (int, np.integer, np.ndarray, jax.Array))
    if not is_number or not jnp.issubdtype(jnp.result_type(given), jnp.integer) or np.ndim(given):
        raise TypeError(
            "schedule_step must be one integer, the number of scheduler.step() calls so far, got "
            f"{given!r:.80}"
        )
    if not isinstance(given, Tracer) and given < 0:
        raise ValueError(
            "schedule_step must be at least 0, the number of scheduler.step() calls so far, got "
            f"{given}"
        )


def schedule_step(extra: Mapping[str, Any], step: Any) -> Any:
    """Return where an update reads its schedules: at ``schedule_step=``, else at its own step.

    With ``skipped_steps=`` that is further on by as many, which a loop has skipped so far.
    """
    given = extra.get("schedule_step")
    if given is not None:
        check_schedule_step(given)
        return jnp.asarray(given)
    own: Any = step.of_all if isinstance(step, Counts) else step
    skipped = extra.get("skipped_steps")
    return own if skipped is None else own + jnp.asarray(skipped, own.dtype)


def is_counted(extra: Mapping[str, Any]) -> bool:
    """Return whether an update reads its schedules where the caller says."""
    return any(extra.get(name) is not None for name in ("schedule_step", "skipped_steps"))


def next_counts(step: Any, grads: Updates) -> Any:
    """Return the steps after one more: of the parameters that a gradient reached, if apart."""
    if not isinstance(step, Counts):
        return next_step(step)
    return renewed(Counts(*jax.tree.map(next_step, tuple(step))), step, grads)


def renewed(new: Any, old: Any, grads: Updates) -> Any:
    """Return new numbers; where no gradient reached a parameter, its old one, if apart."""
    if not isinstance(old, Counts):
        return new

    # Walked by the counts: a gradient may be a tree of its own (rows of a table).
    olds, treedef = jax.tree.flatten(old.of_leaves)
    reached = treedef.flatten_up_to(grads)
    news = treedef.flatten_up_to(new.of_leaves)
    chosen = [o if g is None else n for g, n, o in zip(reached, news, olds, strict=True)]
    return Counts(treedef.unflatten(chosen), new.of_all)


def map_counts(function: Callable[..., Any], *counts: Any) -> Any:
    """Return ``function(*counts)``, or that of every parameter's own; a number or a tuple."""
    if not isinstance(counts[0], Counts):
        return function(*counts)
    first, *others = (count.of_leaves for count in counts)
    leaves, treedef = jax.tree.flatten(first)
    columns = [leaves, *map(treedef.flatten_up_to, others)]
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        function = jax.jit(function)  # one trace for all leaves
    rows = [function(*row) for row in zip(*columns, strict=True)]
    if not isinstance(rows[0], tuple):
        return Counts(treedef.unflatten(rows))
    return tuple(Counts(treedef.unflatten(column)) for column in zip(*rows, strict=True))


def of_leaves(count: Any, like: Any) -> Any:
    """Return a tree with the number of every leaf."""
    return count.of_leaves if isinstance(count, Counts) else jax.tree.map(lambda _: count, like)
