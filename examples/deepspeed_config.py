"""Train with a DeepSpeed configuration: its JSON, unchanged, says what is done.

    python examples/deepspeed_config.py                          # a CPU plays 8 devices
    python examples/deepspeed_config.py --config ds_config.json  # another file
    python examples/deepspeed_config.py --resume                 # go on where it was interrupted
    python -m jaxaccel launch --nproc 2 --devices-per-process 4 examples/deepspeed_config.py
    python -m jaxaccel aot examples/deepspeed_config.py --topology tpu:v5e:2x4

The default is the file that lectures on ZeRO show: stage 2, float16, Adam. A network of three
linear layers learns 4,000 digits with it. ``interop.from_deepspeed_config`` reads it, says what
XLA decides by itself, and returns the parts; ``parts.initialize`` puts them together, as
``deepspeed.initialize`` does. ``train_batch_size`` is of all devices together, which divide it.

Expected from the defaults, in half a minute on 2 cores: 3 epochs, over 85 % of the test digits
right, with a learning rate that is meant for fine-tuning. ``--smoke`` only sees that all runs.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.experimental import multihost_utils
from jax.sharding import Mesh, PartitionSpec

import jaxaccel as ja

CONFIG = """{
    "train_batch_size": 32,
    "gradient_accumulation_steps": 1,
    "optimizer": {
        "type": "Adam",
        "params": {
            "lr": 3e-5
        }
    },
    "fp16": {
        "enabled": true
    },
    "zero_optimization": {
        "stage": 2,
        "allgather_partitions": true,
        "reduce_scatter": true,
        "allgather_bucket_size": 5e8,
        "reduce_bucket_size": 5e8,
        "overlap_comm": true
    }
}
"""


@dataclass(frozen=True)
class Options:
    """Train with a DeepSpeed configuration."""

    config: Path | None = None
    """The configuration; default: the one in this script."""
    epochs: int = 3
    """Epochs."""
    hidden: tuple[int, ...] = (512, 512)
    """Widths of the hidden layers."""
    devices: int = 8
    """How many devices a CPU plays, where one process runs alone."""
    output: Path = Path("outputs")
    """The folder for what is saved, which all processes see."""
    resume: bool = False
    """Go on where an earlier call with the same options was interrupted."""
    smoke: bool = False
    """Only see that everything runs: one small epoch."""


def main(options: Options) -> None:
    """Read the configuration, train, and say how well."""
    if ja.parallel.initialize().num_processes == 1:
        jax.config.update("jax_num_cpu_devices", options.devices)
    mesh, images = ja.parallel.make_mesh(), load(options)
    parts = read(options, mesh)
    for note in parts.notes:
        say(f"note: {note}")
    say(
        f"ZeRO {parts.zero_stage} on {mesh.size} devices, {np.dtype(parts.dtype)}: a step of "
        f"{parts.gradient_accumulation_steps} x {mesh.size} x "
        f"{parts.train_micro_batch_size_per_gpu} = {parts.train_batch_size} rows"
    )
    apply, params, model_state = make_model(options, parts)
    loss_fn = make_loss(apply, images)
    state, step = parts.initialize(loss_fn, params, model_state, mesh=mesh)
    folder = folder_of(options)
    state, _ = ja.training.fit(
        step,
        state,
        lambda epoch: batches(images, epoch, parts, mesh),
        epochs=options.epochs,
        callbacks=[
            ja.training.Callback("tell", on_step=wait, on_epoch=tell),
            ja.training.preemption(),
            ja.training.save_every(folder),
        ],
        progress=False,
        resume=folder,
    )
    test = evaluated(apply, state, images, mesh)
    say(f"{test:.1%} of the test digits right")


def wait(run: ja.training.Run, memory: None) -> None:
    """Wait for a step: two cores that play eight devices stand still with many under way."""
    jax.block_until_ready(run.metrics)


def tell(run: ja.training.Run, memory: None) -> None:
    """Print an epoch's means."""
    mean = run.metrics
    skipped = run.step * mean.get("skipped", 0)
    say(
        f"epoch {run.epoch + 1}: loss {mean['loss']:.4f}, {mean['right']:.1%} of the digits right, "
        f"{skipped:.0f} of {run.step} steps skipped, scale {mean.get('loss_scale', 1):,.0f}"
    )


def folder_of(options: Options) -> Path:
    """Return where a run of these options is saved; clear it, unless the run goes on."""
    said = repr(dataclasses.replace(options, resume=False))
    folder = options.output / f"deepspeed_config_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        if jax.process_index() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        multihost_utils.sync_global_devices("the folder is cleared")  # before anyone looks
    return folder


def read(options: Options, mesh: Mesh) -> ja.interop.DeepSpeedParts:
    """Return the parts that the configuration describes, for the devices of a mesh."""
    config = json.loads(CONFIG) if options.config is None else options.config
    return ja.interop.from_deepspeed_config(config, world_size=mesh.size)


def make_model(options: Options, parts: ja.interop.DeepSpeedParts) -> tuple[Any, Any, Any]:
    """Return the model function, the parameters and the rest of the state."""
    model = ja.models.mlp(28 * 28, options.hidden, 10, rngs=ja.random.manual_seed(0))
    apply, params, model_state = ja.training.split_model(model)
    return parts.cast(apply), params, model_state  # model.half()


def logits_of(apply: Any, images: ja.data.ImageSet, state: Any, pixels: Any, training: bool) -> Any:
    """Return what the model says of some images, and its state."""
    inputs = ja.data.normalize(pixels, images.mean, images.std).reshape(len(pixels), -1)
    return apply(*state, inputs, training=training)


def make_loss(apply: Any, images: ja.data.ImageSet) -> Any:
    """Return the loss function."""

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        pixels, labels = batch
        state = params, model_state
        logits, model_state = logits_of(apply, images, state, pixels, training=True)
        right = jnp.mean((jnp.argmax(logits, -1) == labels).astype(jnp.float32))
        loss = ja.functional.cross_entropy(logits, labels)
        return loss, (model_state, {"right": right})

    return loss_fn


def batches(
    images: ja.data.ImageSet, epoch: int, parts: ja.interop.DeepSpeedParts, mesh: Mesh
) -> Iterator[Any]:
    """Yield an epoch's batches; the rows of the last one, which is too small, are left out."""
    rows = ja.data.distributed_sampler(images.train_labels, epoch=epoch)  # this process's own
    size = parts.train_batch_size // jax.process_count()
    own = ja.data.batches(
        images.train_images, images.train_labels, size, order=rows, drop_last=True
    )
    for batch in own:
        yield ja.parallel.shard_batch(batch, mesh, whole=False)


def evaluated(
    apply: Any, state: ja.training.TrainState, images: ja.data.ImageSet, mesh: Mesh
) -> float:
    """Return the part of the test digits that is right; each process looks at its share."""

    def metric_fn(params: Any, model_state: Any, batch: Any) -> dict[str, jax.Array]:
        pixels, labels = batch
        logits, _ = logits_of(apply, images, (params, model_state), pixels, training=False)
        return {"right": (jnp.argmax(logits, -1) == labels).astype(jnp.float32)}

    share = slice(jax.process_index(), None, jax.process_count())
    own = [(images.test_images[share], images.test_labels[share])]
    found = ja.training.evaluate(metric_fn, state.params, state.model_state, own, mesh=mesh)
    return found["right"]


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the step and its shapes, in the places that ZeRO gives them, for any machine."""
    options = Options()
    images, parts = load(options), read(options, mesh)
    apply, params, model_state = make_model(options, parts)
    gradients = ja.training.gradients(make_loss(apply, images))
    gradient_fn, placement = parts.shard(gradients, mesh)
    step = ja.training.train_step(
        gradient_fn, parts.tx, max_grad_norm=parts.max_grad_norm, scaler=parts.scaler
    )
    state = ja.training.train_state(params, parts.tx, model_state, scaler=parts.scaler)
    shapes = jax.tree_util.tree_map_with_path(
        lambda path, x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=placement(path, x)), state
    )
    rows, split = parts.train_batch_size, PartitionSpec("data")
    pixels = jax.ShapeDtypeStruct((rows, *images.train_images.shape[1:]), jnp.uint8, sharding=split)
    labels = jax.ShapeDtypeStruct((rows,), images.train_labels.dtype, sharding=split)
    return step, shapes, (pixels, labels)


def load(options: Options) -> ja.data.ImageSet:
    """Load the digits; a few for a smoke test."""
    images = ja.data.load("mnist5k")
    if not options.smoke:
        return images
    return images._replace(
        train_images=images.train_images[:320], train_labels=images.train_labels[:320]
    )


def say(line: str) -> None:
    """Print a line, once for all processes."""
    if jax.process_index() == 0:
        print(line, flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
