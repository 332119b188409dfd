"""Time random numbers: PyTorch's own bits drawn without it, and models built from a seed.

    python examples/benchmarks/random_numbers.py
    python examples/benchmarks/random_numbers.py --cores 1

The first table draws ten million numbers; both sides give the same bits in new memory, PyTorch on
one thread, to which a serial stream holds it anyhow. The limit is what the machine needs to write
the result. The second table builds models: from PyTorch's stream, with its bits, and from a JAX
key; programs are compiled before.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import _timing as timing
import jax
import numpy as np
import torch
import tyro
from flax import nnx

import jaxaccel as ja
import torch_ref

OURS, KEY, PYTORCH, NUMPY = "jaxaccel", "jaxaccel, JAX key", "PyTorch", "NumPy, other numbers"


@dataclasses.dataclass
class Args(timing.Options):
    """What to draw."""

    rounds: int = 7
    """Rounds that count, after two that do not."""
    count: int = 10_000_000
    """Numbers of a draw."""
    models: tuple[str, ...] = ("resnet10", "resnet50")
    """Models to build."""


def main(args: Args) -> None:
    """Print both tables."""
    timing.start(args)
    if args.smoke:
        args.count, args.models = 1000, ("resnet10",)
    timing.report(args, (make(args) for make in (of_draws, of_models)))


def of_draws(args: Args) -> timing.Table:
    """Return the table of draws."""
    ours, theirs = ja.random.manual_seed(0), torch.Generator().manual_seed(0)
    numpys, count = np.random.default_rng(0), args.count
    draws: dict[str, dict[str, Callable[[], Any]]] = {
        "uniform": {
            OURS: lambda: ours.uniform(count, -0.1, 0.1),
            PYTORCH: lambda: torch.empty(count).uniform_(-0.1, 0.1, generator=theirs),
            NUMPY: lambda: numpys.random(count, np.float32),
        },
        "normal": {
            OURS: lambda: ours.randn(count),
            PYTORCH: lambda: torch.randn(count, generator=theirs),
            NUMPY: lambda: numpys.standard_normal(count, np.float32),
        },
        "randint": {
            OURS: lambda: ours.randint(0, 1000, count),
            PYTORCH: lambda: torch.randint(0, 1000, (count,), generator=theirs),
        },
        "bernoulli": {
            OURS: lambda: ours.bernoulli(count, 0.3),
            PYTORCH: lambda: torch.empty(count).bernoulli_(0.3, generator=theirs),
        },
        "randperm": {
            OURS: lambda: ours.randperm(count),
            PYTORCH: lambda: torch.randperm(count, generator=theirs),
        },
    }
    written = timing.limits(args.smoke).seconds(moved=4 * count)
    rows = []
    for name, runs in draws.items():
        times = timing.in_turns(with_one_thread(runs), args.rounds)
        rows += [{"draw": name} | row for row in timing.rows_of(times, [PYTORCH], written)]
    return timing.Table(f"{count:,} numbers", rows)


def of_models(args: Args) -> timing.Table:
    """Return the table of models."""
    rows = []
    for name in args.models:
        build = getattr(ja.models, name)
        runs = {
            OURS: lambda build=build: built(build(rngs=ja.random.manual_seed(0))),
            KEY: lambda build=build: built(build(rngs=nnx.Rngs(0))),
            PYTORCH: lambda name=name: seeded(getattr(torch_ref.models, name)),
        }
        times = timing.in_turns(with_one_thread(runs), args.rounds)
        rows += [{"model": name} | row for row in timing.rows_of(times, [PYTORCH])]
    return timing.Table("models from a seed", rows)


def built(model: nnx.Module) -> list[jax.Array]:
    """Return a model's arrays, to be waited for."""
    return jax.tree.leaves(nnx.state(model))


def seeded(build: Callable[[], Any]) -> None:
    """Build a model of PyTorch's."""
    torch.manual_seed(0)
    build()


def with_one_thread(runs: dict[str, timing.Run]) -> dict[str, timing.Run]:
    """Return the runs, PyTorch's on one thread."""
    return {
        name: timing.with_threads(1, run) if name == PYTORCH else run for name, run in runs.items()
    }


if __name__ == "__main__":
    main(tyro.cli(Args))
