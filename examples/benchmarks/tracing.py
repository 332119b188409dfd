"""Time tracing and lowering of a training step beside flax + optax, and what it costs a leaf.

    python examples/benchmarks/tracing.py
    python examples/benchmarks/tracing.py --leaves 10 100 1000 --compile-up-to 100

Everything here happens in Python and on one core, before XLA is asked, and again for every new
shape of a batch: the first table has models; the second a step of clipping and AdamW over a growing
number of small parameters, whose columns are to grow no faster than their number. ``traced`` counts
how often the loss function runs until the second step is through; ``call ms`` is a step's whole
time where there is next to nothing to compute.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import _steps as steps
import _timing as timing
import jax
import jax.numpy as jnp
import optax
import tyro
from _steps import OURS, PEER
from train_step import COMPILED, SMOKE

import jaxaccel as ja

SIDES = (OURS, PEER)


@dataclasses.dataclass
class Args(timing.Options):
    """What to trace."""

    rounds: int = 5
    """Times that each step is traced and lowered."""
    leaves: tuple[int, ...] = (10, 100, 1000, 5000)
    """Numbers of parameters of the second table, 64 numbers each."""
    compile_up_to: int = 1000
    """Compile steps of no more leaves than these: with 5,000 it takes minutes."""


def main(args: Args) -> None:
    """Print both tables."""
    timing.start(args)
    if args.smoke:
        args.leaves = (3, 6)
    timing.report(args, (make(args) for make in (of_models, of_leaves)))


# ---------------------------------------------------------------------------------------- models


def of_models(args: Args) -> timing.Table:
    """Return the table of models; their sizes do not matter here, and nothing is computed."""
    rows = []
    for name, make in (SMOKE if args.smoke else COMPILED).items():
        task, programs = make(), {}
        batch = steps.abstract(steps.batch_of(task))
        for side in SIDES:
            run, state, _ = steps.jax_step(side, task, is_abstract=True)
            programs[side] = (run, (state, batch))
        rows.append({"model": name.partition(",")[0]} | in_turns(programs, args.rounds))
    return timing.Table("tracing and lowering a model's step, CPU ms", rows)


def in_turns(programs: dict[str, tuple[Any, Any]], rounds: int) -> timing.Row:
    """Return the milliseconds of tracing and of lowering each program, and their ratios."""
    traced = {
        side: lambda run=run, arguments=arguments: jax.jit(run).trace(*arguments)
        for side, (run, arguments) in programs.items()
    }
    row: timing.Row = {}
    tracing, found = timing.compile_in_turns(traced, rounds)
    lowering, _ = timing.compile_in_turns({s: found[s].lower for s in found}, rounds)
    for what, times in (("trace", tracing), ("lower", lowering)):
        milliseconds = {side: 1e3 * statistics.median(times[side].cpu) for side in SIDES}
        row[what], row[f"{what}, flax"] = milliseconds[OURS], milliseconds[PEER]
        row[f"{what}, ratio"] = milliseconds[OURS] / milliseconds[PEER]
    return row


# ---------------------------------------------------------------------------------------- leaves


def of_leaves(args: Args) -> timing.Table:
    """Return the table of numbers of leaves."""
    rows = []
    for count in args.leaves:
        made = {OURS: our_step(count), PEER: optax_step(count)}
        programs = {
            side: (run, steps.abstract((state, jnp.ones(64))))
            for side, (run, state) in made.items()
        }
        row = {"leaves": count} | in_turns(programs, args.rounds if count <= 1000 else 1)
        if count <= args.compile_up_to:
            row |= first_and_later_calls(made, args.rounds)
        rows.append(row)
    return timing.Table("a step of clipping and AdamW over parameters of 64 numbers, CPU ms", rows)


def first_and_later_calls(made: dict[str, Any], rounds: int) -> timing.Row:
    """Return the seconds of the first call, the milliseconds of later ones, and the traces."""
    runs, traces = {}, {}
    for side, (run, state) in made.items():
        runs[side] = called(side, run, state)
    COUNTED.clear()
    first = timing.first_calls(runs)
    times = timing.in_turns(runs, rounds)
    traces = {side: COUNTED.count(side) for side in SIDES}
    seconds = {side: statistics.median(first[side].cpu) for side in SIDES}
    calls = {side: 1e3 * statistics.median(times[side].wall) for side in SIDES}
    return {
        "first call s": seconds[OURS],
        "first call, ratio": seconds[OURS] / seconds[PEER],
        "call ms": calls[OURS],
        "call, ratio": calls[OURS] / calls[PEER],
        "traced": traces[OURS],
    }


COUNTED: list[str] = []
"""A side for each time that its loss function ran in Python."""


def called(side: str, run: Callable[..., Any], state: Any) -> timing.Run:
    """Return a step as a call."""
    batch = jnp.ones(64)
    run = run if side == OURS else jax.jit(run, donate_argnums=0)

    def once() -> Any:
        nonlocal state
        state, metrics = run(state, batch)
        return metrics

    return once


def parameters(count: int) -> dict[str, jax.Array]:
    """Return small parameters, by name."""
    return {f"layer{index}": jnp.ones(64) for index in range(count)}


def loss_of(side: str, params: Any, batch: jax.Array) -> jax.Array:
    """Return a loss in which every parameter counts."""
    COUNTED.append(side)
    return jnp.mean(jnp.square(sum(params.values()) * batch))


def our_step(count: int) -> tuple[Any, Any]:
    """Return our step and its state."""

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        return loss_of(OURS, params, batch), (model_state, {})

    tx = ja.optimizers.adamw(1e-3)
    step = ja.training.train_step(ja.training.gradients(loss_fn), tx, max_grad_norm=1.0)
    return step, ja.training.train_state(parameters(count), tx)


def optax_step(count: int) -> tuple[Any, Any]:
    """Return the same by optax."""
    tx = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))

    def step(state: Any, batch: Any) -> Any:
        params, opt_state = state
        loss, grads = jax.value_and_grad(lambda p: loss_of(PEER, p, batch))(params)
        updates, opt_state = tx.update(grads, opt_state, params)
        metrics = {"loss": loss, "grad_norm": optax.global_norm(grads)}
        return (optax.apply_updates(params, updates), opt_state), metrics

    return step, (params := parameters(count), tx.init(params))


if __name__ == "__main__":
    main(tyro.cli(Args))
