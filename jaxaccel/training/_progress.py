"""Progress: a bar in a terminal or notebook, elsewhere a line now and then."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax

from jaxaccel._progress import LINE, has_bar
from jaxaccel.training._callback import Callback, Run

REDRAWN = 0.1
"""Seconds from one picture of the bar to the next."""


class Pace(NamedTuple):
    """How far the device has come, and how fast it goes."""

    finished: int
    """Steps of the whole run that the device has finished, as far as is known without waiting."""
    rate: float | None
    """Steps a second, since the first was finished: what was compiled before does not count."""
    loss: Any
    """The loss of the last of them."""


Show = Callable[[Run, Pace], None]


def progress_bar() -> Callback:
    """Return the callback that shows the whole run, epochs and steps, its rate and time left."""
    return Callback("progress", opened=_opened)


@contextlib.contextmanager
def _opened() -> Iterator[Callback]:
    """Show it by process 0 alone."""
    if jax.process_index() > 0:
        yield Callback("progress")
    elif has_bar():
        with _bar() as show:
            yield _callback(show, REDRAWN)
    else:
        yield _callback(_print_line, LINE)


def _callback(show: Show, every: float) -> Callback:
    """Return the callback that calls ``show`` every so many seconds, and at the end of epochs."""
    shown = begun = time.perf_counter()
    finished, first, loss, first_at = 0, None, None, begun
    in_flight: collections.deque[tuple[int, Any]] = collections.deque()

    def pace(now: float) -> Pace:
        nonlocal finished, first, loss, first_at
        while in_flight and _is_ready(in_flight[0][1]):
            finished, loss = in_flight.popleft()
            if first is None:
                first, first_at = finished, now
        done = 0 if first is None else finished - first
        return Pace(finished, done / (now - first_at) if done and now > first_at else None, loss)

    def on_step(run: Run, memory: Any) -> None:
        nonlocal shown
        in_flight.append((run.total_steps, run.metrics.get("loss")))
        now = time.perf_counter()
        if now - shown >= every or first is None:
            found = pace(now)
            if now - shown >= every:
                shown = now
                show(run, found)

    def on_epoch(run: Run, memory: Any) -> None:
        found = pace(time.perf_counter())  # the epoch's numbers were read: all are finished
        if every == REDRAWN:
            show(run, found)

    def on_end(run: Run, memory: Any) -> None:
        now = time.perf_counter()
        if every == REDRAWN or now - begun >= every:
            show(run, pace(now))

    return Callback("progress", on_step=on_step, on_epoch=on_epoch, on_end=on_end)


def _is_ready(loss: Any) -> bool:
    """Return whether a step is finished, of which this is the loss."""
    ask = getattr(loss, "is_ready", None)
    return ask is None or ask()


def described(run: Run, pace: Pace) -> str:
    """Return where a run is, how fast it goes, when it will be over and what it has measured."""
    of_epoch = f"/{run.steps_per_epoch}" if run.steps_per_epoch else ""
    parts = [f"epoch {run.epoch + 1}/{run.epochs} step {run.step}{of_epoch}"]
    if run.epoch == run.epochs:
        parts = [f"{run.epochs} epochs, {run.total_steps} steps"]
    if pace.rate is not None:
        parts.append(f"{pace.rate:.3g} steps/s")
        left = steps_left(run)
        if left:
            parts.append(f"{_time(left / pace.rate)} left")
    if pace.loss is not None:
        parts.append(f"loss {float(pace.loss):.4g}")
    last = run.metrics if run.is_epoch_end else (run.record.epochs or [{}])[-1]
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
    return "  ".join(parts) + (f"  | {numbers}" if numbers else "")


def steps_left(run: Run) -> int | None:
    """Return how many steps are to come; ``None`` while nobody knows."""
    if run.steps_per_epoch is None:
        return None
    return max(0, (run.epochs - run.epoch) * run.steps_per_epoch - run.step)


def _time(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _print_line(run: Run, pace: Pace) -> None:
    """Print where the run is."""
    print(described(run, pace), flush=True)


@contextlib.contextmanager
def _bar() -> Iterator[Show]:
    """Show a bar over all epochs."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=None)

        def show(run: Run, pace: Pace) -> None:
            per_epoch = run.steps_per_epoch
            done = run.epoch + (run.step / per_epoch if per_epoch else 0)
            bar.update(task, total=run.epochs, completed=done, description=described(run, pace))

        yield show
