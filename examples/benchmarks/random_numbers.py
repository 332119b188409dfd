"""Time ten million random numbers against PyTorch's own: ratios, from one run, taken in turns.

    python examples/benchmarks/random_numbers.py

Both sides draw the same bits into new memory, on the CPU; PyTorch with one thread and with its
default, which makes no difference to a stream that is serial.

On 2 CPU cores (NumPy 2.4, PyTorch 2.13) uniforms took as long as PyTorch's, normals 5 times,
integers and coin flips 0.8 times, and permutations 4 times as long; 30 seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import jaxaccel as ja

COUNT, ROUNDS = 10_000_000, 7
LIMITS = {"uniform": 3.0, "normal": 8.0}
"""What is promised, in PyTorch's own times."""


def main() -> None:
    """Print milliseconds, ratios to PyTorch, and how they compare with what is promised."""
    ours = ja.random.manual_seed(0)
    theirs = torch.Generator().manual_seed(0)
    draws = {
        "uniform": (lambda: ours.rand(COUNT), lambda: torch.rand(COUNT, generator=theirs)),
        "normal": (lambda: ours.randn(COUNT), lambda: torch.randn(COUNT, generator=theirs)),
        "randint": (
            lambda: ours.randint(0, 1000, COUNT),
            lambda: torch.randint(0, 1000, (COUNT,), generator=theirs),
        ),
        "bernoulli": (
            lambda: ours.bernoulli(COUNT, 0.3),
            lambda: torch.empty(COUNT).bernoulli_(0.3, generator=theirs),
        ),
        "randperm": (
            lambda: ours.randperm(COUNT),
            lambda: torch.randperm(COUNT, generator=theirs),
        ),
    }
    default = torch.get_num_threads()
    for name, (our_draw, their_draw) in draws.items():
        runs = {"jaxaccel": our_draw, "1": with_threads(1, their_draw)}
        runs["default"] = with_threads(default, their_draw)
        report(name, medians(runs), default)


def with_threads(count: int, draw: Callable[[], Any]) -> Callable[[], Any]:
    """Return a draw of PyTorch's with a number of threads."""

    def run() -> Any:
        torch.set_num_threads(count)
        return draw()

    return run


def medians(runs: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of each run, taken in turns after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + ROUNDS):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - begin)
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}


def report(name: str, seconds: dict[str, float], default: int) -> None:
    """Print one line."""
    one, many = (seconds["jaxaccel"] / seconds[key] for key in ("1", "default"))
    text = (
        f"{name:10} {1e3 * seconds['jaxaccel']:7.1f} ms, PyTorch {1e3 * seconds['1']:6.1f} ms: "
        f"{one:5.2f} times PyTorch with 1 thread, {many:5.2f} with {default}"
    )
    limit = LIMITS.get(name)
    print(text if limit is None else f"{text} (at most {limit:g}: {max(one, many) <= limit})")


if __name__ == "__main__":
    main()
