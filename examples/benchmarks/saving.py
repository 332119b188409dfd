"""Time saving and restoring a state of random numbers, which do not compress.

    python examples/benchmarks/saving.py
    python examples/benchmarks/saving.py --megabytes 400 4000

``stops`` is how long ``save(wait=False)`` keeps the training waiting, ``whole`` how long it takes
until the save is complete, on the disk and with its digests; ``verify`` what of ``restore`` goes to
reading all files once more for their digests. NumPy's ``savez`` and PyTorch's ``save`` (where it is
installed) write the same numbers, in the foreground, without a digest, and without waiting for the
disk.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _timing as timing
import jax
import numpy as np
import tyro

import jaxaccel as ja

ARRAYS = 10


@dataclasses.dataclass
class Options(timing.Options):
    """What to save."""

    rounds: int = 5
    """Saves of each size; the medians are shown."""
    megabytes: tuple[int, ...] = (4, 40, 400)
    """Sizes of the state."""


def seconds_of(call: Callable[[], Any]) -> float:
    """Return how long a call takes, until what it returns is there."""
    begin = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin


def size_of(path: Path) -> float:
    """Return the megabytes of a folder's files, or of a file."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file()) / 1e6


def of_ours(state: dict[str, jax.Array], place: Path, rounds: int) -> timing.Row:
    """Return the row of ``training.save`` and ``restore``."""
    from jaxaccel.training._saved_files import check_digests, check_present, read_manifest

    def checked(path: Path) -> None:
        files = read_manifest(path)
        check_digests(check_present(path, files).items(), files)

    times: dict[str, list[float]] = {"stops s": [], "whole s": [], "restore s": [], "verify s": []}
    for step in range(rounds):
        begin = time.perf_counter()
        saving = ja.training.save(place, state, step=step, keep_last=1, wait=False)
        times["stops s"].append(time.perf_counter() - begin)
        saving.wait()
        times["whole s"].append(time.perf_counter() - begin)
        times["restore s"].append(seconds_of(lambda: ja.training.restore(place, state).tree))
        times["verify s"].append(seconds_of(functools.partial(checked, saving.path)))
    row: timing.Row = {name: statistics.median(values) for name, values in times.items()}
    return row | {"MB on disk": size_of(place)}


def of_others(write: Any, read: Any, path: Path, rounds: int) -> timing.Row:
    """Return the row of a function that writes a file in the foreground, and one that reads it."""
    saves = [seconds_of(lambda: write(path)) for _ in range(rounds)]
    reads = [seconds_of(lambda: read(path)) for _ in range(rounds)]
    save, restore = statistics.median(saves), statistics.median(reads)
    return {"stops s": save, "whole s": save, "restore s": restore, "MB on disk": size_of(path)}


def others(state: dict[str, jax.Array], place: Path, rounds: int) -> dict[str, timing.Row]:
    """Return the rows of what else writes files."""
    host = {name: np.asarray(array) for name, array in state.items()}

    def read_npz(path: Path) -> Any:
        with np.load(path) as file:
            return [jax.numpy.asarray(file[name]) for name in file.files]

    rows = {
        "numpy.savez": of_others(
            lambda path: np.savez(path, **host), read_npz, place / "state.npz", rounds
        )
    }
    try:
        import torch
    except ModuleNotFoundError:
        return rows
    tensors = {name: torch.from_numpy(array.copy()) for name, array in host.items()}
    rows["torch.save"] = of_others(
        lambda path: torch.save(tensors, path), torch.load, place / "state.pt", rounds
    )
    return rows


def main(options: Options) -> None:
    """Print the table."""
    timing.start(options)
    if options.smoke:
        options.megabytes, options.rounds = (1,), 1
    rows = []
    for megabytes in options.megabytes:
        rng = np.random.default_rng(0)
        bits = rng.integers(0, 2**23, (ARRAYS, megabytes * 250_000 // ARRAYS), np.uint32)
        numbers = (bits | 0x3F800000).view(np.float32)  # all of their mantissas are random
        state = {f"w{index}": jax.numpy.asarray(row) for index, row in enumerate(numbers)}
        jax.block_until_ready(state)
        with tempfile.TemporaryDirectory() as place:
            found = {"training.save": of_ours(state, Path(place) / "run", options.rounds)}
            found |= others(state, Path(place), options.rounds)
        rows += [{"MB": megabytes, "by": name} | row for name, row in found.items()]
    timing.report(options, [timing.Table("saving and restoring float32 numbers", rows)])


if __name__ == "__main__":
    main(tyro.cli(Options))
