"""A save that is under way: one a folder, whose end the next one waits for."""

from __future__ import annotations

import atexit
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import jax

from jaxaccel._processes import of_all_processes

_UNDER_WAY: dict[Path, Saving] = {}
"""Folder -> its save under way in this process, as a lock is: one a folder."""


class Saving(NamedTuple):
    """A save that is under way, or done."""

    step: int
    """The step that is saved."""
    path: Path
    """The folder that appears when the save is complete."""
    done: Future[None]
    """Done when the save is complete, or has failed."""

    def wait(self) -> None:
        """Return when the save is complete; raise what it failed of.

        Of several processes all wait, and all raise where it failed on one.
        """
        error = self.done.exception()
        if _UNDER_WAY.get(self.path.parent) is self:  # and not a later one
            del _UNDER_WAY[self.path.parent]
        if jax.process_count() > 1 and error is None and of_all_processes([0]).any():
            raise RuntimeError(f"saving {self.path} failed on another process; see its error")
        if error is not None:
            if jax.process_count() > 1:
                of_all_processes([1])
            raise error


def start(path: Path, step: int, finish: Callable[[], None]) -> Saving:
    """Let a thread finish the save of a step; the process does not end before it does."""
    saving = Saving(step, path, Future())

    def run() -> None:
        try:
            finish()
        except BaseException as error:
            is_there = os.path.lexists(path)  # and what failed is the removal of older ones
            end = "is complete." if is_there else "is not complete; older ones are."
            error.add_note(f"The save of step {step}, {path}, {end}")
            saving.done.set_exception(error)
        else:
            saving.done.set_result(None)

    _UNDER_WAY[path.parent] = saving
    _finish_before_exit()
    threading.Thread(target=run, name=f"save of step {step}").start()
    return saving


def wait_for_earlier(folder: Path, *, alone: bool = False) -> None:
    """Wait for the save under way in a folder, and raise what it failed of.

    ``alone`` does not ask the other processes, nor raise: the next save does.
    """
    if folder in _UNDER_WAY and alone:
        _UNDER_WAY[folder].done.exception()
    elif folder in _UNDER_WAY:
        _UNDER_WAY[folder].wait()


@functools.cache  # once
def _finish_before_exit() -> None:
    """Let Python's end wait for saves first: afterwards no thread can begin work any more."""
    register = getattr(threading, "_register_atexit", atexit.register)
    register(lambda: [saving.done.exception() for saving in _UNDER_WAY.values()])
