"""Time schedules over a million steps: to prepare them, what a program holds, and to read a step.

    python examples/benchmarks/schedules.py

``prepare`` is everything that tracing a fresh schedule takes, CPU milliseconds; ``kB`` are the
constants that it leaves in the program. ``read`` is one step's value inside of a compiled loop of
10,000, nanoseconds. The peers are optax's schedules of the same shape, where it has one, and one
``scheduler.step()`` of PyTorch's.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro

import jaxaccel as ja

LR = 0.1
LOOP = 10_000


@dataclasses.dataclass
class Args(timing.Options):
    """How long the schedules are."""

    rounds: int = 5
    """Rounds that count, after two that do not."""
    steps: int = 1_000_000
    """Steps of each schedule."""


class Contender(NamedTuple):
    """A schedule in three spellings, each for a number of steps."""

    ours: Callable[[int], Any]
    torch: Callable[[Any, int], Any]
    optax: Callable[[int], Any] | None = None


S, T = ja.schedules, torch.optim.lr_scheduler
SCHEDULES = {
    "cosine": Contender(
        lambda n: S.cosine_annealing_lr(LR, n),
        T.CosineAnnealingLR,
        lambda n: optax.cosine_decay_schedule(LR, n),
    ),
    "one cycle": Contender(
        lambda n: S.one_cycle_lr(LR, total_steps=n),
        lambda optimizer, n: T.OneCycleLR(optimizer, LR, total_steps=n),
        lambda n: optax.cosine_onecycle_schedule(n, LR),
    ),
    "warm-up, then cosine": Contender(
        lambda n: S.sequential_lr(
            [S.linear_lr(LR, total_iters=n // 100), S.cosine_annealing_lr(LR, n)], [n // 100]
        ),
        lambda optimizer, n: T.SequentialLR(
            optimizer,
            [
                T.LinearLR(optimizer, total_iters=n // 100),
                T.CosineAnnealingLR(optimizer, n),
            ],
            [n // 100],
        ),
        lambda n: optax.warmup_cosine_decay_schedule(LR / 3, LR, n // 100, n),
    ),
    "chain: warm-up, cosine with eta_min": Contender(
        lambda n: S.chained_scheduler(
            [S.linear_lr(LR, total_iters=n // 100), S.cosine_annealing_lr(LR, n, LR / 100)],
            total_steps=n,
        ),
        lambda optimizer, n: T.ChainedScheduler(
            [
                T.LinearLR(optimizer, total_iters=n // 100),
                T.CosineAnnealingLR(optimizer, n, LR / 100),
            ]
        ),
    ),
    "chain: cosine of 20 turns, decay": Contender(
        lambda n: S.chained_scheduler(
            [S.cosine_annealing_lr(LR, n // 20), S.exponential_lr(LR, 1 - 1 / n)], total_steps=n
        ),
        lambda optimizer, n: T.ChainedScheduler(
            [
                T.CosineAnnealingLR(optimizer, n // 20),
                T.ExponentialLR(optimizer, 1 - 1 / n),
            ]
        ),
    ),
    "a function that multiplies": Contender(
        lambda n: S.multiplicative_lr(LR, lambda k: 1 - 1e-6, total_steps=n),
        lambda optimizer, n: T.MultiplicativeLR(optimizer, lambda k: 1 - 1e-6),
    ),
}


def main(args: Args) -> None:
    """Print the table."""
    timing.start(args)
    if args.smoke:
        args.steps = 20_000
    rows = [row(named, args) for named in SCHEDULES.items()]
    timing.report(args, [timing.Table(f"schedules of {args.steps:,} steps", rows)])


def row(named: tuple[str, Contender], args: Args) -> timing.Row:
    """Return the figures of one schedule."""
    name, (ours, theirs, peer) = named
    milliseconds, kilobytes = prepared(ours, args)
    runs = {"jaxaccel": reader(ours(args.steps))}
    if peer:
        runs["optax"] = reader(peer(args.steps))
    runs["PyTorch"] = stepper(theirs, args)
    times = timing.in_turns(runs, args.rounds)
    read = {side: 1e9 * statistics.median(each.wall) / LOOP for side, each in times.items()}
    found: timing.Row = {"schedule": name, "prepare ms": milliseconds, "kB": kilobytes}
    found |= {"read ns": read["jaxaccel"], "optax ns": read.get("optax")}
    found |= {"/ optax": read["jaxaccel"] / read["optax"]} if peer else {}
    return found | {"PyTorch ns": read["PyTorch"]}


def prepared(make: Callable[[int], Any], args: Args) -> tuple[float, float]:
    """Return the CPU milliseconds of tracing new schedules, and the kilobytes of constants."""
    jax.make_jaxpr(make(args.steps))(jnp.int32(0))  # what only the first of all has to do
    seconds, program = [], None
    for _ in range(args.rounds):
        begin = time.process_time()
        program = jax.make_jaxpr(make(args.steps))(jnp.int32(0))
        seconds.append(time.process_time() - begin)
    assert program is not None
    held = sum(np.asarray(constant).nbytes for constant in program.consts)
    return 1e3 * statistics.median(seconds), held / 1024


def reader(schedule: Any) -> timing.Run:
    """Return a run that reads a schedule at many steps, one after the other."""

    def body(total: jax.Array, k: jax.Array) -> tuple[jax.Array, None]:
        return total + schedule(k), None

    run = jax.jit(lambda steps: jax.lax.scan(body, jnp.float32(0), steps)[0])
    steps = jnp.arange(LOOP, dtype=jnp.int32)
    return lambda: run(steps)


def stepper(make: Callable[[Any, int], Any], args: Args) -> timing.Run:
    """Return a run of as many steps of PyTorch's scheduler."""

    def run() -> None:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants the optimizer's steps in between
            scheduler = make(optimizer, args.steps)
            for _ in range(LOOP):
                scheduler.step()

    return run


if __name__ == "__main__":
    main(tyro.cli(Args))
