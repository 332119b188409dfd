"""How far a search is: a bar in a terminal or notebook, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from jaxaccel._progress import LINE, has_bar

Show = Callable[[int, str], None]
"""``show(done, what)``: so many are done, and what is to be said of it."""


@contextlib.contextmanager
def shown(title: str, total: int, unit: str, progress: bool) -> Iterator[Show]:
    """Show how many of ``total`` are done, the rate and the time left; nothing where not asked."""
    if not progress:
        yield lambda done, what: None
    elif has_bar():
        with _bar(title, total) as show:
            yield show
    else:
        yield _lines(title, total, unit)


def _lines(title: str, total: int, unit: str) -> Show:
    """Return what prints a line at most every so many seconds."""
    begun = last = time.perf_counter()

    def show(done: int, what: str) -> None:
        nonlocal last
        now = time.perf_counter()
        if now - last < LINE or not done:
            return
        last = now
        rate = done / (now - begun)
        pace = f"{rate:.3g} {unit}/s" if rate >= 1 else f"{1 / rate:.3g} s a {unit.rstrip('s')}"
        left = (total - done) / rate
        print(f"{title} {done}/{total}  {pace}  {left:.0f} s left  {what}", flush=True)

    return show


@contextlib.contextmanager
def _bar(title: str, total: int) -> Iterator[Show]:
    """Show a bar."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        *(TextColumn(title), BarColumn(20), TextColumn("{task.completed}/{task.total}")),
        *(TimeRemainingColumn(), TextColumn("{task.description}")),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=total)
        yield lambda done, what: bar.update(task, completed=done, description=what)
