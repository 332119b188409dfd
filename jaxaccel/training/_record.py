"""What the loop keeps on the host, and how all of a run is taken apart and put together again."""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxaccel.random import Generator
from jaxaccel.training._metrics import check_same_names, numbers_of
from jaxaccel.training._rng_state import get_rng_state
from jaxaccel.training._saved_rng import as_text, set_from_text


class Snapshot(NamedTuple):
    """All that a run needs to go on from where it is: what is saved and resumed."""

    tree: dict[str, Any]
    """Arrays: ``"state"``, and the callbacks' ``"memory"`` by name."""
    extra: dict[str, Any]
    """What JSON holds: ``"epoch"``, ``"step"``, ``"total_steps"``, the epoch's numbers so far and
    those of all epochs before, and ``"rng"``, the host's random streams at the start of the epoch,
    which its batches are drawn from again."""


class Record(NamedTuple):
    """What the loop keeps: lists and dicts, which grow as it goes."""

    generator: Generator | None
    memory: dict[str, Any]
    """Of the callbacks, by name."""
    at_start: dict[str, Any]
    """``"rng"``, and ``"clock"``, the time when this epoch would have started in one go."""
    pending: list[dict[str, Any]]
    """Metrics of steps that were not read yet, on the device."""
    steps: list[dict[str, float]]
    """Those that were read."""
    rows: list[int]
    """The rows of each batch of this epoch."""
    taken_back: list[int]
    """The epoch's steps, from 0, that the state has not seen any more."""
    epochs: list[dict[str, float]]
    measured: list[dict[str, float]]
    saved: dict[str, int]
    """The newest step that is saved in a folder, or being saved: what every process knows alike,
    where each would see another one on the disk."""


def new_record(generator: Generator | None, memory: dict[str, Any]) -> Record:
    """Return the record of a run that has not begun."""
    return Record(generator, memory, {}, [], [], [], [], [], [], {})


def tree_of(record: Record, state: Any) -> dict[str, Any]:
    """Return the arrays of a run."""
    return {"state": state, "memory": jax.tree.map(_as_array, record.memory)}


def start_epoch(record: Record, step: int) -> None:
    """Note where the random streams are before the epoch's batches are drawn."""
    if step == 0:
        record.rows.clear()
        record.taken_back.clear()
        record.at_start.update(rng=get_rng_state(record.generator), clock=time.perf_counter())


def read_pending(record: Record, leave: int = 0) -> None:
    """Read what the steps so far have measured, but for the newest ``leave``; waits for them."""
    ready = record.pending[: len(record.pending) - leave]
    check_same_names("step", [*record.steps[:1], *ready])
    record.steps.extend(numbers_of(each) for each in jax.device_get(ready))
    del record.pending[: len(ready)]


def take_back(record: Record, count: int) -> None:
    """Have the epoch's means leave out its newest steps, which the state has not seen any more."""
    now = len(record.rows)
    record.taken_back.extend(range(max(0, now - count), now))


def summary(record: Record) -> dict[str, float]:
    """Return the means over the epoch's rows, and how long it took."""
    return means(record) | {"seconds": time.perf_counter() - record.at_start["clock"]}


def means(record: Record) -> dict[str, float]:
    """Return the means over the epoch's rows."""
    read_pending(record)
    steps, rows = _of_epoch(record), list(record.rows)
    for index in record.taken_back:
        rows[index] = 0
    return {name: _mean([each[name] for each in steps], steps, rows) for name in steps[0]}


def _mean(numbers: list[float], steps: list[dict[str, float]], rows: list[int]) -> float:
    """Return a mean over rows, without what is not finite of steps that say they were skipped.

    A step that was taken back has no rows.
    """
    if all(map(math.isfinite, numbers)) and any(rows):
        return float(np.average(numbers, weights=rows))
    counts = [
        0 if step.get("skipped") and not math.isfinite(number) else count
        for number, step, count in zip(numbers, steps, rows, strict=True)
    ]
    if not any(counts):
        return math.nan
    counted = [number if count else 0.0 for number, count in zip(numbers, counts, strict=True)]
    return float(np.average(counted, weights=counts))


def snapshot(run: Any) -> Snapshot:
    """Return all that a run needs to go on from where it is."""
    record: Record = run.record
    read_pending(record)
    epoch, step, epochs = run.epoch, run.step, record.epochs
    if run.is_epoch_end:
        epoch, step, epochs = epoch + 1, 0, [*epochs, run.metrics]
    is_inside = step > 0
    rng = record.at_start["rng"] if is_inside else get_rng_state(record.generator)
    extra = {
        "epoch": epoch,
        "step": step,
        "total_steps": run.total_steps,
        "stopped": run.stopped,
        "rng": as_text(rng),
        "seconds": time.perf_counter() - record.at_start["clock"] if is_inside else 0.0,
        "rows": list(record.rows) if is_inside else [],
        "taken_back": list(record.taken_back) if is_inside else [],
        "steps": _columns(_of_epoch(record)) if is_inside else {},
        "epochs": [{name: float(value) for name, value in each.items()} for each in epochs],
        "measured": list(record.measured),
    }
    return Snapshot(tree_of(record, run.state), extra)


def put_together(run: Any, found: Snapshot) -> Any:
    """Return a run that goes on from a snapshot; what it does not hold stays as it is.

    So a state of one's own goes on at any step with no more than ``Snapshot({"state": state},
    {"epoch": epoch, "step": step})``.
    """
    record, tree, extra = run.record, found.tree, found.extra
    check_same_memories(record.memory, tree.get("memory", record.memory))
    record.memory.update(jax.tree.map(_like, record.memory, tree.get("memory", record.memory)))
    if "rng" in extra:
        set_from_text(extra["rng"], record.generator)
    record.at_start.update(
        rng=get_rng_state(record.generator), clock=time.perf_counter() - extra.get("seconds", 0.0)
    )
    record.rows.extend(extra.get("rows", ()))
    record.taken_back.extend(extra.get("taken_back", ()))
    columns = extra.get("steps", {})
    record.steps.extend(
        dict(zip(columns, numbers, strict=True)) for numbers in zip(*columns.values(), strict=True)
    )
    record.epochs.extend(extra.get("epochs", ()))
    record.measured.extend(extra.get("measured", ()))
    return run._replace(
        state=tree["state"],
        epoch=extra["epoch"],
        step=extra["step"],
        total_steps=extra.get("total_steps", extra["step"]),
        stopped=extra.get("stopped"),
        metrics=record.epochs[-1] if record.epochs else {},
    )


def check_same_memories(own: dict[str, Any], saved: dict[str, Any]) -> None:
    """Raise unless the callbacks that remember something are those that did when it was saved."""
    if set(own) != set(saved):
        raise ValueError(
            f"the run was saved with what {sorted(saved) or 'no callback'} remembered, and is "
            f"resumed with {sorted(own) or 'none'}; resume it with the same callbacks"
        )


def columns_of(steps: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Return the metrics of steps as one array each."""
    return {name: np.array(column) for name, column in _columns(steps).items()}


def _columns(steps: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the metrics of steps as one list each."""
    return {name: [each[name] for each in steps] for name in (steps[0] if steps else ())}


def _of_epoch(record: Record) -> list[dict[str, float]]:
    """Return the metrics of the epoch's steps, all of which were read."""
    return record.steps[len(record.steps) - len(record.rows) :]


def _as_array(leaf: Any) -> Any:
    """Return a number that a callback remembers as an array."""
    return np.asarray(leaf) if isinstance(leaf, (bool, int, float)) else leaf


def _like(old: Any, new: Any) -> Any:
    """Return what was saved of a callback's memory; a number where there was a number."""
    return type(old)(np.asarray(new).item()) if isinstance(old, (bool, int, float)) else new
