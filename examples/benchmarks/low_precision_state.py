"""Train one perceptron with weights and optimizer state in float32 and in bfloat16.

    python examples/benchmarks/low_precision_state.py

Everything computes in bfloat16; what differs is what is kept between steps. The distance is that of
the last weights from the float32 run's, as a share of the way that this run has gone: three runs
of float32 whose weights start one unit of bfloat16 away say how much of it is chance. On a CPU
within a minute; the numbers do not depend on the machine but for the last digit.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import tyro

import jaxaccel as ja

SEEDS = range(3)


@dataclasses.dataclass
class Args(timing.Output):
    """What to run."""

    steps: int = 1_000
    """Steps of AdamW, with the decay of a cosine."""


def main(args: Args) -> None:
    """Print the table."""
    if args.smoke:
        args = dataclasses.replace(args, steps=3)
    adamw = ja.optimizers.adamw(ja.schedules.cosine_annealing_lr(2e-3, args.steps))
    master, state = ja.precision.master_weights, ja.precision.low_precision_state
    contenders: dict[str, tuple[Any, Any]] = {
        "float32, float32": (jnp.float32, adamw),
        "float32, bfloat16 to nearest": (jnp.float32, state(adamw, stochastic=False)),
        "float32, bfloat16 at random": (jnp.float32, state(adamw)),
        "bfloat16 with float32 copies, float32": (jnp.bfloat16, master(adamw)),
        "bfloat16 with float32 copies, bfloat16 at random": (jnp.bfloat16, master(state(adamw))),
        "bfloat16 at random, float32": (jnp.bfloat16, ja.precision.stochastic_rounding(adamw)),
        "bfloat16 at random, bfloat16 at random": (
            jnp.bfloat16,
            ja.precision.stochastic_rounding(state(adamw)),
        ),
        "bfloat16, bfloat16, as PyTorch keeps them": (jnp.bfloat16, adamw),
    }
    problem = digits()
    exact = [run(problem, jnp.float32, adamw, args.steps, seed) for seed in SEEDS]
    way = np.mean([distance(first, last) for first, last, _ in exact])
    rows: list[timing.Row] = []
    for name, (dtype, tx) in contenders.items():
        moves = name == "float32, float32"  # whose distance is what chance makes of a small one
        found = [run(problem, dtype, tx, args.steps, seed, moves) for seed in SEEDS]
        far = [distance(a, b) for (_, a, _), (_, b, _) in zip(found, exact, strict=True)]
        rows.append(
            {
                "weights, state": name,
                "bytes a weight": bytes_of(dtype, tx),
                "last loss": f"{np.mean([loss for _, _, loss in found]):.4f}",
                "distance": f"{np.mean(far) / way:.3f}",
            }
        )
    title = f"{args.steps} steps of AdamW on digits, mean of {len(SEEDS)} seeds"
    timing.report(args, [timing.Table(title, rows)])


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return small images and their labels."""
    images = ja.data.load("mnist5k")
    pixels = images.train_images[:, ::2, ::2, 0].reshape(len(images.train_labels), -1)
    return (pixels / 255).astype(np.float32), images.train_labels.astype(np.int32)


def weights(seed: int, moves: bool) -> dict[str, jax.Array]:
    """Return a perceptron's weights, as bfloat16 holds them or one unit away."""
    rng = np.random.default_rng(seed)
    shapes = {"first": (196, 64), "second": (64, 64), "last": (64, 10)}
    found = {n: rng.normal(size=s) / np.sqrt(s[0]) for n, s in shapes.items()}
    low = {n: jnp.asarray(w, jnp.bfloat16).astype(jnp.float32) for n, w in found.items()}
    return {n: w * (1 + 2.0**-7) if moves else w for n, w in low.items()}


def run(
    problem: tuple[np.ndarray, np.ndarray],
    dtype: Any,
    tx: Any,
    steps: int,
    seed: int,
    moves: bool = False,
) -> tuple[Any, Any, float]:
    """Return the first weights and the last, in float32, and the mean loss of the last tenth."""
    x, y = problem
    rows = np.random.default_rng(seed + 100).integers(0, len(y), (steps, 64))

    def loss_fn(params: Any, batch: Any) -> jax.Array:
        inputs, labels = batch
        low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
        hidden = jax.nn.relu(inputs.astype(jnp.bfloat16) @ low["first"])
        logits = jax.nn.relu(hidden @ low["second"]) @ low["last"]
        return ja.functional.cross_entropy(logits.astype(jnp.float32), labels)

    def one(carry: Any, chosen: Any) -> Any:
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(
            params, (jnp.asarray(x)[chosen], jnp.asarray(y)[chosen])
        )
        updates, state = tx.update(grads, state, params)
        params = jax.tree.map(lambda p, u: (p + u).astype(p.dtype), params, updates)
        return (params, state), loss

    first = weights(seed, moves)
    params = jax.tree.map(lambda leaf: leaf.astype(dtype), first)
    (params, _), losses = jax.jit(lambda carry: jax.lax.scan(one, carry, rows))(
        (params, tx.init(params))
    )
    last = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)
    return first, last, float(jnp.mean(losses[-max(1, steps // 10) :]))


def distance(one: Any, other: Any) -> float:
    """Return the norm of a difference of trees."""
    return float(ja.transforms.get_total_norm(jax.tree.map(lambda a, b: a - b, one, other)))


def bytes_of(dtype: Any, tx: Any) -> int:
    """Return what is kept of one weight: itself and its state, without single numbers."""
    weight = jax.ShapeDtypeStruct((1,), dtype)
    leaves = [leaf for leaf in jax.tree.leaves((weight, tx.init(weight))) if leaf.shape]
    return sum(leaf.dtype.itemsize for leaf in leaves)


if __name__ == "__main__":
    main(tyro.cli(Args))
