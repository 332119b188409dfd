"""Time a step that is watched for what is not finite, beside the step itself.

    python examples/benchmarks/detect_anomaly.py
    python examples/benchmarks/detect_anomaly.py --json anomaly.json

``monitoring.detect_anomaly`` leaves the step's program as it is. What it adds is a copy of the
state that the step overwrites, one pass over the results, and a wait for the answer in every call,
so that a device cannot run ahead of Python. Here all wait: what is compared is the work. A step
without the wrapper costs what it always does.
"""

from __future__ import annotations

import statistics
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import tyro

import jaxaccel as ja

T = ja.training


def main(args: timing.Options) -> None:
    """Print the table."""
    timing.start(args)
    sizes = ("mlp", "resnet10") if not args.smoke else ("mlp",)
    title = "a step with AdamW, milliseconds, and as a multiple of the bare step"
    timing.report(args, [timing.Table(title, [row(args, name) for name in sizes])])


def row(args: timing.Options, name: str) -> timing.Row:
    """Return what a model's step costs, bare and watched."""
    model, batch = _model_and_batch(name)
    apply, params, model_state = T.split_model(model)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        images, labels = batch
        logits, model_state = apply(params, model_state, images, training=True)
        return ja.functional.cross_entropy(logits, labels), (model_state, {})

    tx = ja.optimizers.adamw(lr=1e-3)
    step = T.train_step(T.gradients(loss_fn), tx)
    runs = {}
    for label, each in (("bare", step), ("watched", ja.monitoring.detect_anomaly(step))):
        runs[label] = _Run(
            each, T.train_state(jax.tree.map(jnp.copy, params), tx, model_state), batch
        )
    times = timing.in_turns(runs, args.rounds)
    bare, watched = (1e3 * statistics.median(times[label].wall) for label in runs)
    return {
        "model": name,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "bare": bare,
        "watched": watched,
        "ratio": watched / bare,
    }


class _Run:
    """Calls a step on the state that it has left behind."""

    def __init__(self, step: Any, state: Any, batch: Any) -> None:
        self.step, self.state, self.batch = step, jax.tree.map(jnp.copy, state), batch

    def __call__(self) -> Any:
        self.state, metrics = self.step(self.state, self.batch)
        return metrics


def _model_and_batch(name: str) -> tuple[Any, tuple[jax.Array, jax.Array]]:
    """Return a model and digits for it."""
    rngs = ja.random.manual_seed(0)
    labels = jnp.arange(32) % 10
    if name == "mlp":
        return ja.models.mlp(784, (256,), 10, rngs=rngs), (jnp.ones((32, 784)), labels)
    model = ja.models.resnet10(in_channels=1, width=8, rngs=rngs)
    return model, (jnp.ones((32, 28, 28, 1)), labels)


if __name__ == "__main__":
    main(tyro.cli(timing.Options, description=__doc__))
