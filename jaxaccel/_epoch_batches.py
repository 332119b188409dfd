"""The batches of an epoch, from any of them on, and how many rows each has."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax

from jaxaccel._functions import check_function
from jaxaccel._rows import count_rows, row_axes


def skips(batches: Any) -> bool:
    """Return whether a function of the epoch leaves out an epoch's first batches by itself."""
    try:
        return "start" in inspect.signature(batches).parameters
    except (TypeError, ValueError):  # it has no signature
        return False


def check_batches(taker: str, batches: Any) -> None:
    """Raise unless it is a function of the epoch, and perhaps of the batch to start from."""
    form = "(epoch) -> batches: lambda epoch: loader"
    check_function(taker, "batches", batches, form, 2 if skips(batches) else 1)


def no_batch(epoch: int) -> str:
    """Return what is said of an empty epoch."""
    return f"epoch {epoch} had no batch: is the batch larger than the set?"


def taken_up(
    batches: Callable[..., Any],
    epoch: int,
    start: int = 0,
    rows: Sequence[int] = (),
    count: Callable[[Any], int] = lambda batch: 1,
) -> tuple[Any, int | None]:
    """Return the batches of an epoch from one on, and how many the whole epoch has, if known.

    Those before it must have the rows that they had, where that is known.
    """
    is_skipping = skips(batches)
    found = batches(epoch, start) if is_skipping else batches(epoch)
    if not isinstance(found, Iterable) and not hasattr(found, "__getitem__"):
        raise TypeError(
            f"batches(epoch) must return an iterable of batches, got {found!r:.80}; "
            "write lambda epoch: loader"
        )
    length = _length(found)
    if is_skipping:
        return found, None if length is None else start + length
    if not start:
        return found, length
    rest: Any = iter(found)
    skipped = [count(batch) for batch in itertools.islice(rest, start)]
    if len(skipped) < start or (rows and skipped != list(rows)):
        what = f"batches of {sorted({*skipped})} rows, and not of {sorted({*rows})}"
        raise ValueError(
            f"the run was saved after {start} steps of epoch {epoch}, which has "
            f"{'fewer batches' if len(skipped) < start else what} now; resume it with the same "
            "data in batches of the same size"
        )
    return rest, length


def row_counter(batch_axes: Any) -> Callable[[Any], int]:
    """Return a function that counts a batch's rows: 1 where it has none.

    To go through the axes of a batch costs more than all else that the loop does in a step, and
    batches look alike: what was found is kept by structure and shapes.
    """
    known: dict[Any, int] = {}

    def count(batch: Any) -> int:
        leaves, treedef = jax.tree.flatten(batch)
        look = treedef, tuple(getattr(leaf, "shape", ()) for leaf in leaves)
        try:
            found = known.get(look)
        except TypeError:  # a shape that is not made of numbers
            return count_rows(batch, row_axes(batch, batch_axes)) or 1
        if found is None:
            found = known[look] = count_rows(batch, row_axes(batch, batch_axes)) or 1
        return found

    return count


def _length(found: Any) -> int | None:
    """Return how many batches there are, where they say so."""
    try:
        return len(found)
    except TypeError:
        return None
