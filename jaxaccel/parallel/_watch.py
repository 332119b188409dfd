"""What a process says of itself to those who watch it (``_watch_thread``), and how it leaves."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import traceback
from typing import Any, NamedTuple

from jaxaccel.parallel._cluster import Cluster

EXIT = 75
"""Exit status of a process that ends because of another, or hangs: sysexits' EX_TEMPFAIL."""
GRACE = 1.0
"""Seconds that an exception waits for a death that may have caused it."""
LEAVE = 10.0
"""Seconds that a process has to print its own exception."""


class Watch(NamedTuple):
    """What the threads of a process share."""

    cluster: Cluster
    links: dict[int, socket.socket]
    """Process 0's connections to all others, or that of another to process 0."""
    says: dict[str, Any]
    """What this process says of itself."""
    silence: float
    interval: float
    waker: socket.socket
    """Written to where the thread shall speak at once."""
    spoken: threading.Event
    """Set when it has."""
    blamed: threading.Event
    """Set when it is this process's exception that ends the run."""


RUNNING: list[Watch] = []
"""The watch of this process, while there is one: as global as JAX's own connection."""


def stop(watch: Watch) -> None:
    """End the watch of a process that is alone."""
    RUNNING.remove(watch)
    say(watch, limit=None)
    watch.spoken.wait(1.0)
    watch.waker.close()


def check_seconds(**seconds: float | None) -> None:
    """Raise for a time that is not one."""
    for name, value in seconds.items():
        if value is not None and not 0 < value < 1e9:
            raise ValueError(f"{name} must be a positive number of seconds, got {value}")


def say(watch: Watch, **facts: Any) -> None:
    """Let all know at once."""
    watch.says.update(facts)
    watch.spoken.clear()
    with contextlib.suppress(OSError):  # the watch may have ended before this process
        watch.waker.send(b"!")


def report(watch: Watch, error: BaseException | str) -> None:
    """Say that an exception ends this process; return only if it is the first fault of the run."""
    if isinstance(error, BaseException):
        error = "".join(traceback.format_exception_only(error)).strip()
    say(watch, raised=error[:1000])
    watch.blamed.wait(GRACE + LEAVE)


def leave(code: int) -> None:
    """End this process at once: an orderly end would wait for the others in JAX's shutdown."""

    def flush() -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()

    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    flushing.join(1.0)  # whoever hangs may hold it
    os._exit(code)
