"""Train a GPT whose parameters are split over devices, as FSDP does.

    python examples/fsdp_gpt.py                                # a CPU plays 8 devices
    python examples/fsdp_gpt.py --strategies FULL_SHARD HYBRID_SHARD --steps 500
    python examples/fsdp_gpt.py --resume                       # go on where a call was interrupted
    python -m jaxaccel launch --nproc 2 --devices-per-process 4 examples/fsdp_gpt.py
    python -m jaxaccel aot examples/fsdp_gpt.py --topology tpu:v5e:4x4
    python -m jaxaccel aot examples/fsdp_gpt.py:gpt_13b --topology tpu:v5e:16x16 --mesh x 16 y 16

A small GPT learns to add: it reads "27+85=" and writes "211", the digits of the sum from the last
to the first. Its blocks are one scanned loop, each computed again on the way back, so that with
``FULL_SHARD`` one block at a time is whole. All strategies start from the same weights, see the
same sums, and print what a device holds of the state and how the loss falls: the same numbers, but
for the last bits, which some hundred steps in float32 amplify. ``gpt_13b`` is for compilers only:
12.85 billion parameters, which fit on no single device.

Expected from the defaults, in two minutes on 2 cores: .13 of the state of ``NO_SHARD`` on each of 8
devices, the same first loss, a last loss below .1, and .99 of the test's sums right.
``--smoke`` only sees that everything runs.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

F = ja.functional

SIGNS = "0123456789+="
QUESTION, ANSWER = 6, 3
"""Signs of "27+85=" and of "211"."""


@dataclass(frozen=True)
class Options:
    """Train a GPT whose parameters are split over devices."""

    strategies: tuple[str, ...] = ("NO_SHARD", "SHARD_GRAD_OP", "FULL_SHARD")
    """FSDP's sharding strategies, one run each; HYBRID_SHARD makes two replicas."""
    steps: int = 300
    """Steps of each run."""
    batch_size: int = 256
    """Sums of a step, of all devices together."""
    lr: float = 2e-3
    """The highest learning rate of OneCycle."""
    layers: int = 3
    """Blocks."""
    width: int = 128
    """Numbers that a sign becomes."""
    devices: int = 8
    """How many devices a CPU plays, where one process runs alone."""
    output: Path = Path("outputs")
    """The folder for what is saved."""
    resume: bool = False
    """Go on where an earlier call with the same options was interrupted."""
    smoke: bool = False
    """Only see that everything runs: a few small steps."""


def main(options: Options) -> None:
    """Run each strategy, and compare."""
    if ja.parallel.initialize().num_processes == 1:
        os.environ.setdefault("NPROC", "32")  # threads: with fewer, so many devices can deadlock
        jax.config.update("jax_num_cpu_devices", options.devices)
    if options.smoke:
        few = {"strategies": ("NO_SHARD", "FULL_SHARD"), "steps": 4, "batch_size": 16}
        options = dataclasses.replace(options, **few, layers=2, width=32)
    folder = folder_of(options)
    table = Table("strategy", "state, MB a device", "of all", "first loss", "last loss", "right")
    for strategy in options.strategies:
        table.add_row(strategy, *run(strategy, folder / strategy, options))
    if jax.process_index() == 0:
        Console().print(table)


def run(strategy: str, folder: Path, options: Options) -> list[str]:
    """Train with one strategy; return what its row says."""
    is_hybrid = "HYBRID" in strategy
    sizes = {"replica": 2, "data": jax.device_count() // 2} if is_hybrid else None
    mesh = ja.parallel.make_mesh(sizes)
    model = make_model(options.layers, options.width, rngs=nnx.Rngs(0))
    apply, params, model_state = ja.training.split_model(model)
    tx = ja.optimizers.adamw(ja.schedules.one_cycle_lr(options.lr, options.steps + 1))
    more = {"replica_axis": "replica"} if is_hybrid else {}
    gradient_fn, placement = ja.parallel.fully_shard(
        ja.training.gradients(partial(loss_of, apply)), mesh, strategy=strategy, **more
    )
    step = ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0)
    state = ja.training.train_state(params, tx, model_state, mesh=mesh, placement=placement)
    state, history = ja.training.fit(
        step,
        state,
        partial(batches, mesh=mesh, options=options),
        callbacks=[
            ja.training.Callback("losses", {"first": 0.0, "last": 0.0}, on_step, on_epoch),
            ja.training.preemption(),
            ja.training.save_every(folder, steps=50),
        ],
        resume=folder,
    )
    weights = ja.parallel.replicate(state.params, mesh)
    test = sums(np.random.default_rng(1), 512)
    right = share_right(partial(apply, weights, model_state, training=False), test)
    arrays = [leaf for leaf in jax.tree.leaves(state) if hasattr(leaf, "addressable_shards")]
    own = sum(leaf.addressable_shards[0].data.nbytes for leaf in arrays)
    whole = sum(leaf.nbytes for leaf in arrays)
    first, last = history.epochs[0]["first"], history.epochs[0]["last"]
    return [f"{own / 1e6:.3f}", f"{own / whole:.2f}", f"{first:.4f}", f"{last:.4f}", f"{right:.2f}"]


def on_step(run: ja.training.Run, losses: dict[str, float]) -> ja.training.Reply:
    """Remember the first loss and the last; waits for it: many steps at once can deadlock a CPU."""
    loss = float(run.metrics["loss"])
    return ja.training.Reply(
        memory={"first": losses["first"] if run.total_steps > 1 else loss, "last": loss}
    )


def on_epoch(run: ja.training.Run, losses: dict[str, float]) -> ja.training.Reply:
    """Report them."""
    return ja.training.Reply(metrics=losses)


def batches(epoch: int, mesh: Mesh, options: Options) -> Iterator[jax.Array]:
    """Yield the batches of a run, which is one epoch."""
    rng = np.random.default_rng(epoch)
    for _ in range(options.steps):
        batch = sums(rng, options.batch_size)
        yield ja.parallel.shard_batch(batch, mesh, axis=mesh.axis_names, whole=True)


def folder_of(options: Options) -> Path:
    """Return where runs of these options are saved; clear it, unless they go on."""
    said = repr(dataclasses.replace(options, resume=False))
    folder = options.output / f"fsdp_gpt_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        if jax.process_index() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        multihost_utils.sync_global_devices("the folder is cleared")  # before anyone looks
    return folder


def make_model(layers: int, width: int, *, rngs: nnx.Rngs) -> Any:
    """Return a GPT of one scanned loop of blocks, each computed again on the way back."""
    config = ja.models.GPTConfig(
        block_size=QUESTION + ANSWER, vocab_size=16, n_layer=layers, n_head=4, n_embd=width
    )
    return ja.models.gpt(config, scan_layers=True, checkpoint=ja.memory.checkpoint, rngs=rngs)


def loss_of(apply: Any, params: Any, model_state: Any, batch: Any) -> Any:
    """Return the cross entropy of the signs of the answer."""
    logits, model_state = apply(params, model_state, batch[:, :-1], training=True)
    answer = logits[:, QUESTION - 1 :].astype(jnp.float32)
    return F.cross_entropy(answer, batch[:, QUESTION:]), (model_state, {})


def sums(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return sums of two numbers below 100, as the numbers of their signs."""
    left, right = rng.integers(0, 100, size=(2, count))
    texts = [f"{a:02}+{b:02}={f'{a + b:03}'[::-1]}" for a, b in zip(left, right, strict=True)]
    return np.array([[SIGNS.index(sign) for sign in text] for text in texts], np.int32)


def share_right(apply: Any, batch: np.ndarray) -> float:
    """Return for how many of the questions each sign of the answer is the likeliest."""
    logits, _ = jax.jit(apply)(batch[:, :-1])
    found = np.asarray(jnp.argmax(logits[:, QUESTION - 1 :], axis=-1))
    return float(np.mean(np.all(found == batch[:, QUESTION:], axis=1)))


# ------------------------------------------------------------------------------ for other machines


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the example's step with FULL_SHARD, and the shapes that it takes, for any machine."""
    model = nnx.eval_shape(lambda: make_model(3, 128, rngs=nnx.Rngs(0)))
    return _placed(model, mesh, QUESTION + ANSWER, 32 * mesh.size, "FULL_SHARD")


def gpt_13b(mesh: Mesh, strategy: str = "FULL_SHARD") -> tuple[Any, ...]:
    """Return a step of a GPT with 12.85 billion parameters, a text of 1,024 tokens a device."""
    config = ja.models.GPTConfig(n_layer=40, n_head=40, n_embd=5120)
    make = partial(ja.models.gpt, config, scan_layers=True, checkpoint=ja.memory.checkpoint)
    model = nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0)))
    return _placed(model, mesh, config.block_size, mesh.size, strategy)


def replicated_13b(mesh: Mesh) -> tuple[Any, ...]:
    """Return the same with everything on every device, as DistributedDataParallel has it."""
    return gpt_13b(mesh, "NO_SHARD")


def _placed(model: Any, mesh: Mesh, length: int, rows: int, strategy: str) -> tuple[Any, ...]:
    """Return a step in bfloat16, and where the arrays of its state and of a batch live."""
    axes, tx = mesh.axis_names, ja.optimizers.adamw(1e-4)
    apply, params, model_state = ja.training.split_model(model)
    apply = ja.precision.cast(apply, ja.precision.Policy())

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, model_state = apply(params, model_state, batch[:, :-1], training=True)
        return F.cross_entropy(logits.astype(jnp.float32), batch[:, 1:]), (model_state, {})

    gradient_fn, placement = ja.parallel.fully_shard(
        ja.training.gradients(loss_fn), mesh, strategy=strategy, axis=axes
    )
    state = jax.eval_shape(lambda p, m: ja.training.train_state(p, tx, m), params, model_state)
    state = ja.parallel.distribute_state(state, mesh, placement)
    split = NamedSharding(mesh, PartitionSpec(axes))
    batch = jax.ShapeDtypeStruct((rows, length + 1), jnp.int32, sharding=split)
    return ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0), state, batch


if __name__ == "__main__":
    main(tyro.cli(Options))
