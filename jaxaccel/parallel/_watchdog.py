"""A run that does not go on is ended: the watchdog that knows about steps."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

import jax

from jaxaccel._checked import checked
from jaxaccel.parallel._cluster import Cluster
from jaxaccel.parallel._watch import RUNNING, check_seconds, leave, report, say, stop
from jaxaccel.parallel._watch_thread import watch


@checked
def watchdog(
    timeout: float = 45.0, *, startup: float = 600.0
) -> contextlib.AbstractContextManager[Callable[..., None]]:
    """End the run on every process when one of them makes no step for too long.

    A process that hangs in Python keeps its heartbeat, so JAX waits for it forever. Here every
    step beats, and when a process is late all of them print which one the others wait for, where
    its main thread is, its step and the last save, and end with exit status 75, also from inside a
    collective. Deaths, silence and exceptions are seen without it (:func:`initialize`).

    Args:
        timeout: Seconds from one beat to the next; the run ends a second or two later.
        startup: Seconds to the first beat: a compilation takes its time.

    Returns:
        A context, which gives ``beat(step=None, *, saved=None, next_within=None)``: ``step`` is the
        number of the step that was made, ``saved`` what was just saved, in words or as a path, and
        ``next_within`` the seconds until the next beat where they are not ``timeout`` (before an
        evaluation, or something to be compiled). A beat costs under a microsecond.

    Raises:
        ValueError: A time is not positive.
        RuntimeError: There are several processes, and they were not connected by
            :func:`initialize`, or with ``watchdog=None``.

    PyTorch:
        The watchdog of ``torch.distributed``'s NCCL backend, which times collectives
        (``init_process_group(timeout=)``, 10 minutes) and aborts the process. Here it is the steps
        that are timed, on any backend. For one process there is no counterpart.

    Example:
        >>> import jaxaccel as ja
        >>> with ja.parallel.watchdog(timeout=45) as beat:
        ...     for step in range(3):
        ...         beat(step)
        >>> step
        2
    """
    check_seconds(timeout=timeout, startup=startup)
    if not RUNNING and jax.distributed.is_initialized():
        raise RuntimeError(
            "the processes do not watch each other; connect them with parallel.initialize(), "
            "without watchdog=None, in the place of jax.distributed.initialize()"
        )
    return _watched(timeout, startup)


@contextlib.contextmanager
def _watched(timeout: float, startup: float) -> Iterator[Callable[..., None]]:
    """Watch what is done within."""
    alone = not RUNNING
    outer = None if alone else RUNNING[0].says["limit"]
    found = watch(Cluster("alone"), {}, timeout, startup) if alone else RUNNING[0]
    says = found.says

    def beat(
        step: int | None = None,
        *,
        saved: str | os.PathLike[str] | None = None,
        next_within: float | None = None,
    ) -> None:
        if next_within is not None:
            check_seconds(next_within=next_within)
        if step is not None:
            says["step"] = int(step)
        if saved is not None:
            says["saved_at"], says["saved"] = time.time(), os.fspath(saved)
        says["limit"] = timeout if next_within is None else next_within
        says["beats"] += 1
        if saved is not None:
            say(found)  # at once: it shall be known if this process dies in the next step

    beat(next_within=startup)
    try:
        yield beat
    except SystemExit as error:
        if not alone and error.code not in (None, 0):  # no hook hears of it
            report(found, f"SystemExit: {error.code}")
            if not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
            leave(error.code if isinstance(error.code, int) else 1)
        raise
    finally:
        if alone:
            stop(found)
        else:
            say(found, limit=outer, beats=says["beats"] + 1)
