"""What every benchmark here shares: contenders in turns, medians, the machine's limits, the table.

A script makes its contenders (functions of no argument that do the work once and return what is to
be waited for), measures them with ``in_turns`` and hands tables to ``report``, which prints them
and writes ``--json FILE``. Its options inherit from ``Options``; it calls ``start`` before it makes
an array.

All contenders take their turn in every round, so that what slows the machine slows all of them, and
the medians of the rounds are compared. Who follows whom changes from round to round, and a turn
begins with calls that do not count: PyTorch's threads go on spinning for some 10 ms after its
turn, and take a core from whoever is next. Compiling is timed apart (``compile_in_turns``), and so
are CPU seconds: those of all threads of this process, which tell work from waiting.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import math
import os
import platform
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table as RichTable

Run = Callable[[], Any]
Row = dict[str, Any]

PACKAGES = ("jaxaccel", "jax", "jaxlib", "flax", "optax", "numpy", "torch")
SHORTEST_TURN = 0.02
"""Seconds: what is faster is called several times a turn, as often for all contenders."""
SETTLING = 0.01
"""Seconds of calls before a turn that do not count."""


@dataclasses.dataclass
class Output:
    """What every benchmark can be told."""

    json: Path | None = None
    """Where to write the tables and what they were made on."""
    smoke: bool = False
    """Only show that it runs: smallest shapes, one round."""


@dataclasses.dataclass
class Options(Output):
    """What a benchmark that takes times can be told."""

    rounds: int = 15
    """Rounds that count, after two that do not."""
    cores: int = 0
    """CPU cores to use, for JAX and PyTorch alike; 0 for all."""


class Times(NamedTuple):
    """Seconds of one call in every round that counts: by the clock, and of all threads."""

    wall: list[float]
    cpu: list[float]


class Table(NamedTuple):
    """A title and rows, which are ``{column: text or number}``; a missing cell is a dash."""

    title: str
    rows: list[Row]


def start(options: Options) -> None:
    """Settle cores and rounds; must come before any array."""
    if options.smoke:
        options.rounds = 1
        jax.config.update("jax_disable_most_optimizations", True)  # it is mostly compiling
    if options.cores:
        cores = sorted(os.sched_getaffinity(0))[: options.cores]
        if len(cores) < options.cores:
            raise SystemExit(f"--cores {options.cores}: there are only {len(cores)}")
        os.sched_setaffinity(0, cores)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(len(os.sched_getaffinity(0)))


# ------------------------------------------------------------------------------- taking turns


def in_turns(runs: Mapping[str, Run], rounds: int) -> dict[str, Times]:
    """Return the seconds of each run; all take their turn in each round, after two uncounted ones.

    A turn is as many calls as fill 20 ms, after a rest of 30 ms.
    """
    for run in runs.values():
        jax.block_until_ready(run())
    calls = {
        name: max(1, math.ceil(SHORTEST_TURN / one_turn(run, 1)[0])) for name, run in runs.items()
    }
    if rounds == 1:
        calls = dict.fromkeys(runs, 1)
    times = {name: Times([], []) for name in runs}
    gc.collect()  # or it falls on whoever's turn it happens to be
    gc.disable()
    try:
        for round in range(rounds):
            first = round % len(runs)
            for name in (*[*runs][first:], *[*runs][:first]):
                settle(runs[name])
                wall, cpu = one_turn(runs[name], calls[name])
                times[name].wall.append(wall)
                times[name].cpu.append(cpu)
    finally:
        gc.enable()
    return times


def settle(run: Run) -> None:
    """Call once, and again until the one before is out of the caches and its threads are asleep."""
    begin = time.perf_counter()
    while True:
        jax.block_until_ready(run())
        if time.perf_counter() - begin > SETTLING:
            return


def one_turn(run: Run, calls: int) -> tuple[float, float]:
    """Return the seconds of a call, by the clock and of all threads; each call is waited for."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        jax.block_until_ready(run())
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def first_calls(runs: Mapping[str, Run]) -> dict[str, Times]:
    """Return the seconds of the first call of each, which compiles."""
    gc.collect()
    found = {name: one_turn(run, 1) for name, run in runs.items()}
    return {name: Times([wall], [cpu]) for name, (wall, cpu) in found.items()}


def compile_in_turns(
    builds: Mapping[str, Run], rounds: int
) -> tuple[dict[str, Times], dict[str, Any]]:
    """Return the seconds that each build takes with empty caches, in turns, and what it last built.

    A build traces, lowers and compiles: ``jax.jit(step).lower(...).compile()``.
    """
    times = {name: Times([], []) for name in builds}
    built: dict[str, Any] = {}
    for _ in range(rounds):
        for name, build in builds.items():
            jax.clear_caches()
            gc.collect()
            wall, cpu = time.perf_counter(), time.process_time()
            built[name] = build()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return times, built


def rows_of(
    times: Mapping[str, Times],
    peers: Sequence[str],
    limit: float | None = None,
    compiling: Mapping[str, Times] | None = None,
) -> list[Row]:
    """Return a row per contender.

    Args:
        times: By contender.
        peers: The contenders to whose time there is a ratio.
        limit: Seconds that the machine needs in any case; see ``Limits``.
        compiling: Seconds of compiling, with the ratio to the first peer that has any.
    """
    compiling = compiling or {}
    compiled_peer = next((peer for peer in peers if peer in compiling), None)
    rows = []
    for name, (wall, cpu) in times.items():
        median = statistics.median(wall)
        row: Row = {"contender": name, "ms": 1e3 * median, "CPU ms": 1e3 * statistics.median(cpu)}
        for peer in (peer for peer in peers if peer in times):
            row[f"/ {peer}"] = median / statistics.median(times[peer].wall)
        if limit is not None:
            row["/ limit"] = median / limit
        if name in compiling:
            row["compile s"] = statistics.median(compiling[name].wall)
            if compiled_peer:
                theirs = statistics.median(compiling[compiled_peer].wall)
                row["compile ratio"] = row["compile s"] / theirs
        rows.append(row)
    return rows


# ---------------------------------------------------------------------------------- the limits


class Limits(NamedTuple):
    """What the machine can do: bytes and floating-point operations per second."""

    bytes_per_second: float
    flops_per_second: float

    def seconds(self, moved: float = 0, flops: float = 0) -> float:
        """Return the least time for moving so many bytes and for so many operations."""
        return max(moved / self.bytes_per_second, flops / self.flops_per_second)


def limits(smoke: bool = False, dtype: Any = jnp.float32) -> Limits:
    """Measure both, the best of seven: a copy in place of 256 MiB, and a product of matrices."""
    size, width = (2**16, 64) if smoke else (2**26, 2048)
    copy = copy_run(2 * 4 * size)
    matrix = jnp.ones((width, width), dtype)
    product = jax.jit(jnp.matmul)
    best = {}
    for name, run in {"copy": copy, "product": lambda: product(matrix, matrix)}.items():
        jax.block_until_ready(run())
        best[name] = min(one_turn(run, 1)[0] for _ in range(7))
    return Limits(2 * 4 * size / best["copy"], 2 * width**3 / best["product"])


def copy_run(moved: float) -> Run:
    """Return a run that reads and writes so many bytes together, half of them each, in place."""
    array = jnp.zeros(max(1, round(moved / 8)), jnp.float32)
    add = jax.jit(lambda x: x + 1, donate_argnums=0)

    def once() -> jax.Array:
        nonlocal array
        array = add(array)
        return array

    return once


# ------------------------------------------------------------------------------------- PyTorch


def with_threads(count: int, run: Run) -> Run:
    """Return a run of PyTorch's on a number of threads."""
    import torch

    def once() -> Any:
        torch.set_num_threads(count)
        return run()

    return once


def can_torch_compile() -> bool:
    """Return whether there is the C++ compiler that ``torch.compile`` needs on a CPU."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


# ---------------------------------------------------------------------------------- the report


def machine() -> dict[str, str]:
    """Return what the numbers were made on."""
    device = jax.devices()[0]
    versions = {name: version_of(name) for name in PACKAGES}
    return {
        "device": f"{jax.device_count()} x {device.device_kind} ({device.platform})",
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "versions": ", ".join(f"{name} {text}" for name, text in versions.items() if text),
        "python": platform.python_version(),
    }


def processor() -> str:
    """Return the processor's name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def version_of(package: str) -> str | None:
    """Return a package's version, or None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def report(options: Output, tables: Iterable[Table], **facts: Any) -> None:
    """Print the tables as they come, and write them where ``--json`` says.

    Args:
        options: The script's.
        tables: May be a generator: a table is printed when it is there.
        facts: What else belongs into the JSON.
    """
    console, shown = Console(width=120), []
    where = machine()
    console.print("\n".join(f"{name}: {text}" for name, text in where.items()), highlight=False)
    for table in tables:
        console.print(as_rich(table))
        shown.append(table._asdict())
    if options.json:
        name = Path(sys.argv[0]).stem
        content = {"script": name, "machine": where, **facts, "tables": shown}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def as_rich(table: Table) -> RichTable:
    """Return the table to print; numbers to three digits."""
    columns = list(dict.fromkeys(column for row in table.rows for column in row))
    shown = RichTable(title=table.title, title_justify="left")
    for column in columns:
        numbers = all(not isinstance(row.get(column), str) for row in table.rows)
        shown.add_column(column, justify="right" if numbers else "left")
    for row in table.rows:
        shown.add_row(*(cell(row.get(column)) for column in columns))
    return shown


def cell(value: Any) -> str:
    """Return a cell: a ratio or a time to three digits, a whole number with commas."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
