"""The processes of one machine, started and ended together: what torchrun does, for JAX."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from jaxaccel._checked import checked
from jaxaccel.parallel._ranks import POLL, Rank, end, start
from jaxaccel.parallel._watch import EXIT

SETTLE = 2.0
"""Seconds in which whoever is to blame may end after those who end because of it."""


def environment_of(
    rank: int, count: int, port: int, devices: int | None = None, restart: tuple[int, int] = (0, 0)
) -> dict[str, str]:
    """Return torchrun's variables that ``initialize`` reads, and those for devices of a CPU.

    What a program around this one has set for itself does not reach the processes.
    """
    local = {"LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count, "RANK": rank, "WORLD_SIZE": count}
    found: dict[str, Any] = {
        **local,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "TORCHELASTIC_USE_AGENT_STORE": False,
        "GROUP_RANK": 0,
        "GROUP_WORLD_SIZE": 1,
        "TORCHELASTIC_RUN_ID": f"jaxaccel-{os.getpid()}",
        "TORCHELASTIC_RESTART_COUNT": restart[0],
        "TORCHELASTIC_MAX_RESTARTS": restart[1],
        "PYTHONUNBUFFERED": 1,
    }
    if devices is not None:
        found |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": devices}
    return {name: str(value) for name, value in found.items()}


def check_counts(**counts: int | None) -> None:
    """Raise for numbers of processes or devices that no machine has."""
    for name, count in counts.items():
        if count is not None and not 1 <= count <= 4096:
            raise ValueError(f"{name} must be from 1 to 4096, got {count}")


def free_port() -> int:
    """Return a port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@checked
def launch(
    command: Sequence[str],
    nproc: int,
    *,
    devices_per_process: int | None = None,
    max_restarts: int = 0,
) -> int:
    """Run a command in several processes of this machine, and again after a failure.

    Each has torchrun's variables, which :func:`initialize` reads. What they print comes behind
    their numbers. When one fails the others are ended; the report begins with the traceback of the
    first that failed. SIGINT, SIGTERM and SIGHUP are handed on, and nothing is left running, even
    if this process is killed (on Linux). From the shell: ``python -m jaxaccel launch``.

    Args:
        command: The program and its arguments, such as ``[sys.executable, "train.py"]``.
        nproc: The number of processes.
        devices_per_process: How many devices the CPU of each plays; default: what JAX finds.
        max_restarts: How often all are started again after a failure, at another port.

    Returns:
        0, the exit status of the first that failed in the last attempt (128 + n where signal n
        ended it), or 128 + n where signal n told this process to end.

    Raises:
        ValueError: ``nproc`` or ``devices_per_process`` is not from 1 to 4096, ``max_restarts`` is
            negative, ``command`` is empty, or it is called outside the main thread.

    PyTorch:
        ``torchrun --nproc-per-node=4 --max-restarts=3 train.py`` on one machine, whose own exit
        status is always 1.

    Example:
        >>> import sys
        >>> import jaxaccel as ja
        >>> code = "import os, sys; sys.exit(int(os.environ['RANK']) + 3)"
        >>> ja.parallel.launch([sys.executable, "-c", code], 1)
        3
    """
    check_counts(nproc=nproc, devices_per_process=devices_per_process)
    if not command:
        raise ValueError('command is empty; give a program, [sys.executable, "train.py"]')
    if max_restarts < 0:
        raise ValueError(f"max_restarts must be at least 0, got {max_restarts}")
    first = None
    with _signals() as caught:
        for restart in range(max_restarts + 1):
            port = free_port()
            of_run = nproc, port, devices_per_process, (restart, max_restarts)
            ranks, begin = [], time.monotonic()
            try:
                for rank in range(nproc):
                    ranks.append(start(command, rank, environment_of(rank, *of_run)))
                first = _first_failure(ranks, caught)
            finally:
                end(ranks, caught)
            if caught:
                return 128 + caught[0]
            if first is None:
                return 0
            left = max_restarts - restart
            _say(_report(ranks, first, time.monotonic() - begin, left))
    assert first is not None
    return _status(first)


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect the signals that tell this process to end, while it has processes of its own."""
    caught: list[int] = []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored stays so: a run behind nohup outlives its terminal.
    numbers = [n for n in numbers if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {
        number: signal.signal(number, lambda got, _: caught.append(got)) for number in numbers
    }
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _first_failure(ranks: Sequence[Rank], caught: list[int]) -> Rank | None:
    """Wait until all have ended well, one has failed, or this process is told to end."""
    failed: list[Rank] = []
    until = float("inf")
    while not caught:
        running = [each for each in ranks if each.process.poll() is None]
        known = {each.number for each in failed}
        failed += [each for each in ranks if each.process.poll() and each.number not in known]
        to_blame = [each for each in failed if each.process.returncode != EXIT]
        if to_blame:
            return to_blame[0]
        if failed and until == float("inf"):
            until = time.monotonic() + SETTLE
        if not running or time.monotonic() > until:
            return failed[0] if failed else None
        time.sleep(POLL)
    return None


def _status(rank: Rank) -> int:
    """Return a process's exit status as a shell has it."""
    code = rank.process.returncode
    return 128 - code if code < 0 else code


def _report(ranks: Sequence[Rank], first: Rank, seconds: float, left: int) -> str:
    """Return who failed first, its traceback, and how the others ended."""
    code = first.process.returncode
    how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
    if code == EXIT:
        how += " because of what it says below"
    others = ", ".join(f"rank {each.number} {_status(each)}" for each in ranks if each is not first)
    last = _traceback(list(first.errors))
    again = f"starting all again, {left} more times at most" if left else "no restart is left"
    return (
        f"jaxaccel launch: rank {first.number} ended first, {how}, after {seconds:.1f} s; "
        f"{again}\n{last}" + (f"the exit statuses of the others: {others}\n" if others else "")
    )


def _traceback(lines: list[str]) -> str:
    """Return the last traceback among a process's errors, or their end."""
    starts = [k for k, line in enumerate(lines) if line.startswith("Traceback (most recent")]
    return "".join(lines[starts[-1] :] if starts else lines[-20:])


def _say(text: str) -> None:
    """Print to standard error."""
    sys.stderr.write(text)
    sys.stderr.flush()
