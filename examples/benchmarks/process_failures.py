"""Let processes die, be stopped and hang, and see how long the run takes to end, and how.

    python examples/benchmarks/process_failures.py
    python examples/benchmarks/process_failures.py --repeat 20 --timeout 10

Three processes of one machine compute together (``python -m jaxaccel launch``). At one step
process 1, or process 0, to which all others are connected, kills itself, stops itself, hangs in
Python or raises. A row has the seconds from there until nothing of the run is left, and the exit
statuses; it is a fault, and the script's own exit status is 1, if that takes 60 seconds or more,
if a message does not name the process and the last save, or if a process that could end by itself
did not. Twenty times everything, with timeouts of 10 seconds, takes an hour of a core.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import _timing as timing
import tyro

PROCESSES = 3
AT_STEP = 5
LIMIT = 60.0
"""Seconds within which a run has to end."""


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def hang() -> None:
    time.sleep(10_000)


def fail() -> None:
    raise ArithmeticError("of one process")


FAULTS: dict[str, Callable[[], None]] = {
    "kill -9": kill,
    "SIGSTOP": stop,
    "stuck in Python": hang,
    "an exception": fail,
}
SAYS = {
    "kill -9": "died",
    "SIGSTOP": "is stopped (SIGSTOP)",
    "stuck in Python": "hangs: no step for",
    "an exception": "ends with ArithmeticError",
}
STATUS = {"kill -9": 137, "SIGSTOP": 137, "stuck in Python": 75, "an exception": 1}
"""Exit status of the process itself: one that is stopped has to be killed in the end."""


@dataclasses.dataclass
class Options(timing.Output):
    """What to let happen, and how often."""

    repeat: int = 1
    """How often each."""
    timeout: float = 45.0
    """Seconds that a process may be silent, or without a step; 45 is the library's default."""
    only: tuple[str, ...] = ()
    """The faults; default: all."""
    worker: tuple[str, int] | None = None
    """For the processes that the script starts: the fault, and whose it is."""


def work(options: Options) -> None:
    """Be one of the processes."""
    import jax
    import numpy as np

    import jaxaccel as ja

    assert options.worker is not None
    fault, whose = options.worker
    found = ja.parallel.initialize(watchdog=options.timeout)
    mesh = ja.parallel.make_mesh()
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    total = jax.jit(lambda x: x.sum(), out_shardings=place)
    with ja.parallel.watchdog(timeout=options.timeout) as beat:
        for step in range(10_000):
            if step == AT_STEP and found.process_id == whose:
                time.sleep(1.5)  # by now all know of the last step
                print(f"fault at {time.time()}", flush=True)
                FAULTS[fault]()
            total(ja.parallel.shard_batch(np.arange(2.0) + found.process_id, mesh))
            beat(step, saved=f"run/{step}" if step == AT_STEP - 1 else None)


def once(fault: str, whose: int, timeout: float) -> tuple[float, dict[int, int], list[str]]:
    """Return the seconds to the end, exit statuses, and what was wrong about it."""
    of_worker = ["--worker", fault, str(whose), "--timeout", str(timeout)]
    command = [sys.executable, "-m", "jaxaccel", "launch", "--nproc", str(PROCESSES)]
    done = subprocess.run(
        [*command, "--devices-per-process", "1", __file__, *of_worker],
        capture_output=True,
        text=True,
        check=False,
    )
    ended = time.time()
    begin = re.search(r"fault at ([\d.]+)", done.stdout)
    first = re.search(r"rank (\d+) ended first", done.stderr)
    if begin is None or first is None:
        raise SystemExit(f"{fault}: the run ended by itself\n{done.stdout}\n{done.stderr}")
    statuses = {int(first[1]): done.returncode}
    others = re.search(r"the exit statuses of the others: (.*)", done.stderr)
    for rank, status in re.findall(r"rank (\d+) (-?\d+)", others[1] if others else ""):
        statuses[int(rank)] = int(status)
    seconds = ended - float(begin[1])
    message = re.compile(
        rf"jaxaccel watchdog: process {whose} of {PROCESSES} .*{re.escape(SAYS[fault])}.*\n"
        rf"  its last step was {AT_STEP - 1}; the last save: run/{AT_STEP - 1}\n"
    )
    by = set()
    for rank in range(PROCESSES):  # whose lines may stand between those of others
        lines = re.findall(rf"^ *\[{rank}\] (.*\n)", done.stderr, re.MULTILINE)
        if message.search("".join(lines)):
            by.add(rank)
    wrong = [f"not named by process {p}" for p in range(PROCESSES) if p not in by | {whose}]
    wanted = dict.fromkeys(range(PROCESSES), 75) | {whose: STATUS[fault]}
    wrong += [
        f"exit status of process {p} is {statuses.get(p)}, not {status}"
        for p, status in wanted.items()
        if statuses.get(p) != status
    ]
    if seconds >= LIMIT:
        wrong.append(f"took {seconds:.1f} s")
    if wrong and os.environ.get("SHOW"):
        print(done.stdout, done.stderr, flush=True)
    return seconds, statuses, wrong


def main(options: Options) -> None:
    """Let it all happen, and report."""
    if options.worker is not None:
        work(options)
        return
    if options.smoke:
        options.timeout, options.only = 4.0, options.only or ("kill -9",)
    rows, faults = [], []
    for fault in options.only or FAULTS:
        for whose, name in ((1, "a worker"), (0, "process 0")):
            found = [once(fault, whose, options.timeout) for _ in range(options.repeat)]
            seconds = [each[0] for each in found]
            statuses = {str([each[1].get(p) for p in range(PROCESSES)]) for each in found}
            faults += [f"{fault} of {name}: {wrong}" for each in found for wrong in each[2]]
            rows.append(
                {
                    "what": fault,
                    "of": name,
                    "runs": len(found),
                    "as wanted": sum(not each[2] for each in found),
                    "median s": statistics.median(seconds),
                    "longest s": max(seconds),
                    "exit statuses of processes 0, 1, 2": " or ".join(sorted(statuses)),
                }
            )
            print(rows[-1], flush=True)
    title = f"Until all processes have ended, timeout {options.timeout:g} s"
    timing.report(options, [timing.Table(title, rows)])
    if faults:
        raise SystemExit("\n".join(faults))


if __name__ == "__main__":
    main(tyro.cli(Options))
