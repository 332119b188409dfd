"""The processes that a launcher starts: begun, heard and ended, with what they start themselves."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

POLL = 0.02
PATIENCE = 3.0
"""Seconds from SIGTERM to SIGKILL for those that are left when one has failed."""
LINES = 100
"""Lines of each process's errors that are kept for the report."""


class Rank(NamedTuple):
    """A process that was started, and the threads that hand on what it prints."""

    number: int
    process: subprocess.Popen[bytes]
    errors: deque[str]
    readers: tuple[threading.Thread, ...]


def start(command: Sequence[str], rank: int, own: Mapping[str, str]) -> Rank:
    """Start a process in a group of its own, which ends when this one does."""
    process = subprocess.Popen(
        [*_DIE_WITH_PARENT, *command],
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    errors: deque[str] = deque(maxlen=LINES)
    readers = []
    for stream, target, kept in (
        (process.stdout, sys.stdout, deque(maxlen=0)),
        (process.stderr, sys.stderr, errors),
    ):
        arguments = (rank, stream, target, kept)
        readers.append(threading.Thread(target=_hand_on, args=arguments, daemon=True))
        readers[-1].start()
    return Rank(rank, process, errors, tuple(readers))


def die_with_parent() -> None:
    """Let the kernel kill this process when its parent is gone, even by kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


_THEN_RUN = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execvp(sys.argv[1], sys.argv[1:])"
)
_DIE_WITH_PARENT = (sys.executable, "-IS", "-c", _THEN_RUN) if sys.platform == "linux" else ()
"""The same for a command; between fork and exec Python must not run where JAX is loaded."""


def _hand_on(rank: int, stream: Any, target: Any, kept: deque[str]) -> None:
    """Print what a process prints, line by line, behind its number."""
    with stream:
        for raw in stream:
            line = raw.decode(errors="replace").rstrip("\n") + "\n"
            kept.append(line)
            with contextlib.suppress(OSError, ValueError):
                target.write(f"[{rank}] {line}")
                target.flush()


def end(ranks: Sequence[Rank], caught: list[int]) -> None:
    """End all that are left, with what they have started; a second signal ends them at once."""
    number, signals = (caught[0] if caught else signal.SIGTERM), len(caught)
    _signal(ranks, number)
    until = time.monotonic() + (30.0 if caught else PATIENCE)
    while any(each.process.poll() is None for each in ranks):
        if time.monotonic() > until or len(caught) > signals:
            _signal(ranks, signal.SIGKILL)
        time.sleep(POLL)
    for each in ranks:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(each.process.pid, signal.SIGKILL)  # what it has started itself
        for reader in each.readers:
            reader.join(2.0)


def _signal(ranks: Sequence[Rank], number: int) -> None:
    """Send a signal to the groups of those that run."""
    for each in ranks:
        if each.process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(each.process.pid, number)
