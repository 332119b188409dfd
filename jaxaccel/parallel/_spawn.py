"""A function in several processes, for those who know ``torch.multiprocessing.spawn``."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.parallel._launch import SETTLE, check_counts, environment_of, free_port
from jaxaccel.parallel._ranks import PATIENCE, die_with_parent
from jaxaccel.parallel._watch import EXIT, RUNNING, leave, report

LONGEST = 15_000
"""Characters of a traceback that are sent home: a pipe that nobody reads yet holds 64 kB."""


@checked
def spawn(
    fn: Callable[..., Any],
    args: Sequence[Any] = (),
    nprocs: int = 1,
    *,
    devices_per_process: int | None = None,
) -> None:
    """Run ``fn(rank, *args)`` in several processes of this machine, and wait for all.

    Each has torchrun's variables, so that :func:`initialize` inside ``fn`` connects them. When one
    fails the others are told to end (SIGTERM), and killed 3 seconds later.

    Args:
        fn: A function of a module, which the processes import, called as ``fn(rank, *args)``.
        args: The further arguments, which are pickled.
        nprocs: The number of processes.
        devices_per_process: How many devices the CPU of each plays; default: what JAX finds.

    Returns:
        Nothing, when all have come to their end.

    Raises:
        ValueError: ``nprocs`` or ``devices_per_process`` is not from 1 to 4096.
        RuntimeError: A process has failed: the first one, with its traceback.

    PyTorch:
        ``torch.multiprocessing.spawn``: the same call and texts. What it raises is a
        ``RuntimeError`` there as well, ``ProcessRaisedException`` or ``ProcessExitedException``. No
        ``MASTER_ADDR`` and ``MASTER_PORT`` need to be set. There the others have 30 seconds between
        SIGTERM and SIGKILL. Left out: ``join=False``, ``daemon`` and
        ``start_method``, since JAX cannot be forked.

    Example:
        >>> import jaxaccel as ja
        >>> try:
        ...     ja.parallel.spawn(divmod, args=(0,), nprocs=1)  # calls divmod(rank, 0)
        ... except RuntimeError as error:
        ...     print(str(error).splitlines()[-1])
        ZeroDivisionError: integer division or modulo by zero
    """
    check_counts(nprocs=nprocs, devices_per_process=devices_per_process)
    import multiprocessing

    context, port = multiprocessing.get_context("spawn"), free_port()
    running, pipes = [], []
    try:
        for rank in range(nprocs):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(fn, rank, args, theirs), daemon=False)
            with _environment(environment_of(rank, nprocs, port, devices_per_process)):
                process.start()
            theirs.close()
            running.append(process)
            pipes.append(ours)
        text = _first_failure(running, pipes)
    finally:
        _end(running)
        for process, pipe in zip(running, pipes, strict=True):
            process.join()
            process.close()
            pipe.close()
    if text is not None:
        raise RuntimeError(text)


def _end(running: Sequence[Any]) -> None:
    """Tell all that are left to end, and kill those that do not, in PyTorch's order."""
    for process in running:
        process.terminate()
    until = time.monotonic() + PATIENCE
    for process in running:
        process.join(max(0.0, until - time.monotonic()))
    for process in running:
        process.kill()


def _run(fn: Callable[..., Any], rank: int, args: Sequence[Any], pipe: Any) -> None:
    """Call the function in its process, and send home what it raises."""
    die_with_parent()
    try:
        fn(rank, *args)
    except Exception as error:
        for watch in RUNNING:
            report(watch, error)
        pipe.send(traceback.format_exc()[-LONGEST:])
        leave(1)


@contextlib.contextmanager
def _environment(own: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the process that is started within."""
    before = dict(os.environ)
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
        os.environ.update(before)


def _first_failure(running: Sequence[Any], pipes: Sequence[Any]) -> str | None:
    """Wait for all processes; return what became of the first that failed, in PyTorch's words."""
    from multiprocessing.connection import wait

    left, late = dict(enumerate(running)), {}
    until = float("inf")
    while left and time.monotonic() < until:
        wait([process.sentinel for process in left.values()], 0.1 if late else None)
        ended = [rank for rank, process in left.items() if process.exitcode is not None]
        for rank in ended:
            code = left.pop(rank).exitcode
            if code not in (0, EXIT):
                return _failure(rank, code, pipes[rank])
            if code == EXIT and not late:
                until = time.monotonic() + SETTLE
            if code == EXIT:
                late[rank] = code
    return next((_failure(rank, code, pipes[rank]) for rank, code in late.items()), None)


def _failure(rank: int, code: int, pipe: Any) -> str:
    """Return how a process has failed."""
    with contextlib.suppress(EOFError, OSError):
        if pipe.poll():
            return f"\n\n-- Process {rank} terminated with the following error:\n{pipe.recv()}"
    if code < 0:
        return f"process {rank} terminated with signal {signal.Signals(-code).name}"
    return f"process {rank} terminated with exit code {code}"
