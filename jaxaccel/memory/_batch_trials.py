"""One trial of a batch: compiled and compared with a budget, or run."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel import aot
from jaxaccel._lowering import compiled, device_for
from jaxaccel._text_table import size_name
from jaxaccel.memory._programs import (
    first_line,
    is_refusal,
    shapes,
)


class Candidate(NamedTuple):
    """One batch that was tried."""

    batch_size: int
    """Its rows."""
    fits: bool
    """Whether it fits."""
    nbytes: int | None
    """What the program needs on a device; None where nobody says."""
    flops: int | None
    """Floating-point operations of a step; None where nobody counts them."""
    seconds: float
    """How long compiling it took, or running it, compilation included."""
    reason: str
    """Why it does not fit; "" if it does."""
    budget: int | None
    """Bytes that it was allowed."""
    device: str
    """The kind of device."""


def following(make_batch: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return what makes batches, and raises where it makes the same of twice as many rows.

    One that pads to a few sizes may make the same of a few more.
    """
    known: dict[Any, int] = {}

    def batch_of(batch_size: int) -> Any:
        batch = make_batch(batch_size)
        sizes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(batch))
        fewer, more = sorted((known.setdefault(sizes, batch_size), batch_size))
        if more >= 2 * fewer:
            raise ValueError(
                f"make_batch must return as many rows as it is asked for, got the shapes {sizes} "
                f"for {fewer} and for {more}; let it make arrays of batch_size rows"
            )
        return batch

    return batch_of


def compiling(
    step: Callable[..., Any],
    make_batch: Callable[[int], Any],
    state: Any,
    topology: str | None,
    budget: int | None,
) -> Callable[[int], Candidate]:
    """Return the trial that compiles."""
    of_state = shapes(state, topology, "state")

    def trial(batch_size: int) -> Candidate:
        begin = time.perf_counter()
        batch = shapes(make_batch(batch_size), topology, "batch")
        device = device_for((of_state, batch))
        try:
            program = compiled(step, of_state, batch)
        except Exception as error:
            if not is_refusal(error):
                raise
            reason = f"a batch of {batch_size} is refused by the compiler: {first_line(error)}"
            own = None, None, time.perf_counter() - begin, reason, budget, device.device_kind
            return Candidate(batch_size, False, *own)
        found = aot.report(program)
        seconds, needed = time.perf_counter() - begin, found.needed_bytes
        limit = found.capacity_bytes if budget is None else budget
        fits = found.fits if budget is None else needed <= budget
        if fits is None:
            raise ValueError(
                f"max_batch_size: how much memory a {found.device} has is not known; pass "
                "budget=bytes, or run=True to try it out"
            )
        reason = ""
        if not fits and limit is not None:
            most = size_name(limit)
            reason = f"a batch of {batch_size} needs {size_name(needed)}, which is more than {most}"
        own = needed, found.flops, seconds, reason, limit, found.device
        return Candidate(batch_size, fits, *own)

    return trial


def running(
    step: Callable[..., Any], make_batch: Callable[[int], Any], state: Any, steps: int
) -> Callable[[int], Candidate]:
    """Return the trial that runs, from a fresh copy of the state each time.

    What a trial that failed has left on the device is gone before the next one begins: nothing but
    the trial's own frame knows it, and the error, whose traceback knows that frame, is let go.
    """

    def attempt(batch_size: int) -> str:
        batch, now = make_batch(batch_size), jax.tree.map(_copied, state)
        try:
            for _ in range(steps):
                found = step(now, batch)
                if isinstance(found, tuple) and found:
                    now = found[0]
                jax.block_until_ready(found)
        except Exception as error:
            if not is_refusal(error):
                raise
            return f"a batch of {batch_size} ran out of memory: {first_line(error)}"
        return ""

    def trial(batch_size: int) -> Candidate:
        begin = time.perf_counter()
        reason = attempt(batch_size)
        gc.collect()
        seconds, device = time.perf_counter() - begin, jax.devices()[0].device_kind
        return Candidate(batch_size, not reason, None, None, seconds, reason, None, device)

    return trial


def _copied(leaf: Any) -> Any:
    """Return an array of the trial's own, where it was."""
    return leaf.copy() if isinstance(leaf, jax.Array) else jax.device_put(leaf)
