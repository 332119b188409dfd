"""Time the loop around a step: ``training.fit`` and its callbacks beside a bare ``for``.

    python examples/benchmarks/fit_overhead.py
    python examples/benchmarks/fit_overhead.py --steps 2000 --json fit.json

Each contender makes the same steps of a small network and reads their metrics once, at the end:
the bare loop in one ``jax.device_get``, ``fit`` at the end of its epoch. ``over us`` is what a step
costs beyond the bare loop's; it should stay below 50. In the first table the step computes nothing
and returns at once, so that all that is left is the loop; in the second it is a compiled one, whose
own spread from run to run may be larger than what the loop costs.
Callbacks that save or evaluate are not here: what they do costs what it costs.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import tyro

import jaxaccel as ja

T = ja.training


@dataclasses.dataclass
class Args(timing.Options):
    """What to run."""

    steps: int = 200
    """Steps a run."""


def main(args: Args) -> None:
    """Print both tables."""
    timing.start(args)
    if args.smoke:
        args.steps = 3
    tables = (
        timing.Table(title, rows(args, *make()))
        for title, make in (
            ("the loop around a step that does nothing, us a step", idle),
            ("the loop around a compiled step of a small network, us a step", compiled),
        )
    )
    timing.report(args, tables)


GUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "fit": dict,
    "with a progress bar": lambda: {"progress": True},
    "with early stopping": lambda: {"callbacks": [T.early_stopping("loss")]},
    "logging every 100 steps": lambda: {"callbacks": [T.log_every(lambda *_: None, steps=100)]},
    "stopping at NaN": lambda: {"callbacks": [T.terminate_on_nan(steps=100)]},
    "with all of these, a budget, signals and a watchdog": lambda: {
        "progress": True,
        "callbacks": [
            T.early_stopping("loss"),
            T.log_every(lambda *_: None, steps=100),
            T.terminate_on_nan(steps=100),
            T.time_budget(3600),
            T.preemption(),
            T.heartbeat(),
        ],
    },
}
"""What ``fit`` is given."""


def rows(args: Args, step: Any, make_state: Callable[[], Any], batch: Any) -> list[timing.Row]:
    """Return the microseconds of a step in each loop."""
    batches = [batch] * args.steps

    def bare() -> Any:
        state, found = make_state(), []
        for each in batches:
            state, metrics = step(state, each)
            found.append(metrics)
        return jax.device_get(found)

    def fitted(make: Callable[[], dict[str, Any]]) -> Callable[[], Any]:
        def run() -> Any:
            options = {"progress": False} | make()
            return T.fit(step, make_state(), lambda epoch: batches, **options)[0]

        return run

    runs = {"a bare loop": bare} | {name: fitted(make) for name, make in GUESTS.items()}
    times = timing.in_turns(runs, args.rounds)
    found = {name: 1e6 * statistics.median(each.wall) / args.steps for name, each in times.items()}
    return [
        {"loop": name, "us": us, "over us": us - found["a bare loop"]} for name, us in found.items()
    ]


def idle() -> tuple[Any, Callable[[], Any], Any]:
    """Return a step that hands back what it is given, with the metrics of any."""
    metrics = {name: jnp.ones(()) for name in ("loss", "grad_norm", "lr")}
    return lambda state, batch: (state, metrics), lambda: jnp.zeros(()), example_batch()


def compiled() -> tuple[Any, Callable[[], Any], Any]:
    """Return a step of AdamW on a network of two layers."""
    model = ja.models.mlp(16, (32,), 4, rngs=ja.random.manual_seed(0))
    apply, params, model_state = T.split_model(model)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        x, labels = batch
        logits, model_state = apply(params, model_state, x, training=True)
        return ja.functional.cross_entropy(logits, labels), (model_state, {})

    tx = ja.optimizers.adamw(lr=1e-3)
    step = T.train_step(T.gradients(loss_fn), tx)
    return step, lambda: T.train_state(params, tx, model_state), example_batch()


def example_batch() -> tuple[jax.Array, jax.Array]:
    """Return inputs and labels."""
    return jnp.ones((8, 16)), jnp.zeros(8, jnp.int32)


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
