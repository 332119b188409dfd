"""Time the cross entropy of class indices and its gradient beside optax's and PyTorch's.

    python examples/benchmarks/cross_entropy.py
    python examples/benchmarks/cross_entropy.py --cores 1 --shapes 4096,50304

The limit is three passes over the logits at the speed of a copy: two to read them, for the loss and
for the gradient, and one to write the gradient. "passes" is what XLA's CPU compiler counts of reads
and writes together, over the bytes of the logits; "held" is the memory beside arguments and
results.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro

import jaxaccel as ja

OURS, PEER, EAGER = "jaxaccel", "optax", "PyTorch eager"


@dataclasses.dataclass
class Args(timing.Options):
    """What to time."""

    shapes: tuple[str, ...] = ("256,1000", "2048,10000", "1024,50304")
    """Rows and classes of the logits."""


def main(args: Args) -> None:
    """Print a table for each shape."""
    timing.start(args)
    timing.report(args, tables(args))


def tables(args: Args) -> Iterator[timing.Table]:
    """Return a table for each shape."""
    limits = timing.limits(args.smoke)
    for shape in ("8,16",) if args.smoke else args.shapes:
        rows, classes = map(int, shape.split(","))
        rng = np.random.default_rng(0)
        logits = rng.standard_normal((rows, classes), np.float32)
        labels = rng.integers(0, classes, rows, np.int32)
        programs = {
            name: jax.jit(jax.value_and_grad(loss)).lower(logits, labels).compile()
            for name, loss in ((OURS, ja.functional.cross_entropy), (PEER, by_optax))
        }
        given = jax.device_put((logits, labels))
        runs = {name: lambda run=run, given=given: run(*given) for name, run in programs.items()}
        times = timing.in_turns(runs | {EAGER: by_torch(logits, labels)}, args.rounds)
        found = timing.rows_of(times, [PEER, EAGER], limits.seconds(moved=3 * logits.nbytes))
        for row in found:
            if row["contender"] in programs:
                figures = ja.aot.report(programs[row["contender"]])
                row["passes"] = (figures.bytes_accessed or 0) / logits.nbytes
                row["held"] = figures.temporary_bytes / logits.nbytes
        yield timing.Table(f"{rows:,} x {classes:,}: value and gradient, float32", found)


def by_optax(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return optax's loss."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))


def by_torch(logits: np.ndarray, labels: np.ndarray) -> timing.Run:
    """Return a run of PyTorch's."""
    leaf, target = torch.tensor(logits, requires_grad=True), torch.tensor(labels).long()

    def once() -> Any:
        leaf.grad = None
        loss = torch.nn.functional.cross_entropy(leaf, target)
        loss.backward()
        return loss.detach()

    return once


if __name__ == "__main__":
    main(tyro.cli(Args))
