"""Time choices inside a training step against each other: ratios, from one run, taken in turns.

    python examples/benchmarks/step_time.py

- accumulation unrolled or in a loop (``jax.lax.scan``): the reason for ``accumulate``'s default;
- images normalized on the host or on the device.

On 2 CPU cores (jax 0.10, ResNet-10 of width 16, batch 64) the loop took 14 to 17 times as long as
the unrolled parts, and where images are normalized made no difference; 50 seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx

import jaxaccel as ja

PARTS = 2
IMAGES = ja.data.load("mnist5k")


@dataclasses.dataclass
class Args(timing.Options):
    """What to time."""

    width: int = 16
    """Channels of the first stage."""
    batch: int = 64
    """Images a step."""


def main(args: Args) -> None:
    """Print a table for each choice."""
    if args.smoke:
        args = dataclasses.replace(args, width=2, batch=4)
    timing.start(args)
    timing.report(args, tables(args))


def tables(args: Args) -> Iterator[timing.Table]:
    """Yield a table for each choice."""
    tx = ja.optimizers.adamw()
    pixels, labels = IMAGES.train_images[: args.batch], IMAGES.train_labels[: args.batch]
    model: nnx.Module = ja.models.resnet10(in_channels=1, width=args.width, rngs=nnx.Rngs(0))
    if args.smoke:
        model = ja.models.mlp(28 * 28, [4], 10, rngs=nnx.Rngs(0))
    apply, params, statistics = ja.training.split_model(model)

    def loss_fn(params: Any, statistics: Any, batch: Any) -> Any:
        inputs, labels = batch
        if inputs.dtype == jnp.uint8:
            inputs = ja.data.normalize(inputs, IMAGES.mean, IMAGES.std)
        logits, statistics = apply(params, statistics, inputs, training=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(loss), (statistics, {})

    gradient_fn = ja.training.gradients(loss_fn)

    def run(
        gradient_fn: Callable[..., Any], prepare: Callable[..., Any] = lambda x: x
    ) -> Callable[[], None]:
        step = ja.training.train_step(gradient_fn, tx)
        state = ja.training.train_state(params, tx, statistics)

        def once() -> None:
            nonlocal state
            state, _ = jax.block_until_ready(step(state, (prepare(pixels), labels)))

        return once

    def compared(title: str, peer: str, runs: dict[str, Callable[[], None]]) -> timing.Table:
        return timing.Table(title, timing.rows_of(timing.in_turns(runs, args.rounds), [peer]))

    where = {"host": run(gradient_fn, normalize_on_host), "device": run(gradient_fn)}
    yield compared("images are normalized on", "host", where)
    forms = {
        name: run(ja.training.accumulate(gradient_fn, PARTS, unroll=unroll))
        for name, unroll in (("unrolled", True), ("loop", False))
    }
    yield compared("accumulation of two parts", "unrolled", forms)


def normalize_on_host(pixels: np.ndarray) -> np.ndarray:
    """Do in NumPy what ``ja.data.normalize`` does on the device."""
    mean, std = np.array(IMAGES.mean, np.float32), np.array(IMAGES.std, np.float32)
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std


if __name__ == "__main__":
    main(tyro.cli(Args))
