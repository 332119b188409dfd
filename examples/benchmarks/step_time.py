"""Time choices inside a training step against each other: ratios, from one run, taken in turns.

    python examples/benchmarks/step_time.py

- accumulation unrolled or in a loop (``jax.lax.scan``): the reason for ``accumulate``'s default;
- images normalized on the host or on the device.

On 2 CPU cores (jax 0.10, ResNet-10 of width 16, batch 64) the loop took 14 to 17 times as long as
the unrolled parts, and where images are normalized made no difference; 50 seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import jaxaccel as ja

WIDTH, BATCH, PARTS, ROUNDS = 16, 64, 2, 7
IMAGES = ja.data.load("mnist5k")


def main() -> None:
    """Print seconds per step and ratios."""
    tx = ja.optimizers.adamw()
    pixels, labels = IMAGES.train_images[:BATCH], IMAGES.train_labels[:BATCH]
    apply, params, statistics = ja.training.split_model(
        ja.models.resnet10(in_channels=1, width=WIDTH, rngs=nnx.Rngs(0))
    )

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

    compare("host", {"host": run(gradient_fn, normalize_on_host), "device": run(gradient_fn)})
    forms = {
        name: run(ja.training.accumulate(gradient_fn, PARTS, unroll=unroll))
        for name, unroll in (("unrolled", True), ("loop", False))
    }
    compare("unrolled", forms)


def normalize_on_host(pixels: np.ndarray) -> np.ndarray:
    """Do in NumPy what ``ja.data.normalize`` does on the device."""
    mean, std = np.array(IMAGES.mean, np.float32), np.array(IMAGES.std, np.float32)
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std


def compare(baseline: str, runs: dict[str, Callable[[], None]]) -> None:
    """Print the median of each run, taken in turns after two steps that are not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(2 + ROUNDS):
        for name, once in runs.items():
            begin = time.perf_counter()
            once()
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: float(np.median(times[2:])) for name, times in seconds.items()}
    for name, median in medians.items():
        ratio = median / medians[baseline]
        print(f"{name:10} {1e3 * median:9.1f} ms a step, {ratio:6.2f} times {baseline}")


if __name__ == "__main__":
    main()
