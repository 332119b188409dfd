"""Train on several devices and in several processes, as DistributedDataParallel does.

    python examples/ddp.py                                 # one process, a CPU plays 8 devices
    python -m jaxaccel launch --nproc 4 --devices-per-process 2 examples/ddp.py
    torchrun --nproc-per-node 4 examples/ddp.py            # PyTorch's launcher, if it is there
    srun --ntasks 16 --ntasks-per-node 1 python examples/ddp.py          # SLURM
    python examples/ddp.py --ray 4                         # Ray (the extra `ray`)
    python -m jaxaccel aot examples/ddp.py --topology tpu:v5e:2x4        # for a TPU, from here

A network of three linear layers learns 4,000 digits. The same script runs alone and in processes
that anybody has started: ``parallel.initialize`` finds out. Each process has its own rows, in the
order of ``DistributedSampler``; the last batch of an epoch is smaller, and filled up with rows that
count for nothing. Whatever the number of devices and processes, the numbers are those of one
device, but for the last bits: compare the lines that it prints.

With ``--save FILE`` the state is kept after each epoch, and a run that is started again goes on
from there. ``--die-at 60`` shows it: at that step the last process kills itself, the watchdog ends
the others, the launcher starts all again, and the parameters in the end are, bit for bit, those of
a run that nothing has happened to:

    python -m jaxaccel launch --nproc 2 --devices-per-process 2 --max-restarts 1 \\
        examples/ddp.py --save outputs/ddp.npz --die-at 60

Expected from the defaults, in half a minute on 2 cores: 3 epochs, 93 % of the test digits right.
``--smoke`` only sees that everything runs.
"""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import Mesh, PartitionSpec

import jaxaccel as ja

F = ja.functional


@dataclass(frozen=True)
class Options:
    """Train on several devices and in several processes."""

    epochs: int = 3
    """Epochs."""
    batch_size: int = 96
    """Rows of a step, of all processes together."""
    lr: float = 2e-3
    """The learning rate of AdamW."""
    mode: str = "shard_map"
    """The notation of data parallelism: shard_map or jit."""
    devices: int = 8
    """How many devices a CPU plays, where one process runs alone."""
    timeout: float = 45.0
    """Seconds without a step after which the watchdog ends the run."""
    save: Path | None = None
    """Keep the state in this file, and go on from it."""
    die_at: int | None = None
    """At this step the last process kills itself, unless the run was started again already."""
    ray: int = 0
    """Start so many processes with Ray."""
    smoke: bool = False
    """Only see that everything runs: a few digits."""


def main(options: Options) -> None:
    """Find the other processes, train, and say how well."""
    if options.ray:
        under_ray(options)
        return
    found = ja.parallel.initialize(timeout=120, watchdog=options.timeout)
    if found.num_processes == 1:
        os.environ.setdefault("NPROC", "32")  # threads: with fewer, so many devices can deadlock
        jax.config.update("jax_num_cpu_devices", options.devices)
    print(found)
    train(options)


def train(options: Options) -> None:
    """Train, in whatever process this is."""
    images, mesh = load(options), ja.parallel.make_mesh()
    step, state = make_step(options, images, mesh)
    first, state = restored(options.save, state, mesh)
    with ja.parallel.watchdog(timeout=options.timeout) as beat:
        for epoch in range(first, options.epochs):
            losses, number = [], 0
            for batch in batches(images, epoch, options, mesh):
                number = int(epoch * steps_per_epoch(images, options)) + len(losses) + 1
                die(options, number)
                state, metrics = step(state, batch)
                losses.append(metrics["loss"])
                beat(number)
            beat(number, next_within=600)  # what follows is compiled first
            loss, right = np.mean(jax.device_get(losses)), evaluated(state, images, mesh)
            if options.save is not None:
                save(options.save, state, epoch + 1)
                if jax.process_index() == 0:  # who has written it
                    beat(number, saved=f"{options.save}, epoch {epoch + 1}")
            if jax.process_index() == 0:
                print(f"epoch {epoch + 1}: loss {loss:.6f}, {right:.2%} of the test digits right")
    if jax.process_index() == 0:
        print(f"{jax.device_count()} devices, parameters {fingerprint(state.params):08x}")


def make_step(
    options: Options, images: ja.data.ImageSet, mesh: Mesh
) -> tuple[Callable[..., Any], ja.training.TrainState]:
    """Return the step and the state that it starts from, on all devices."""
    model = ja.models.mlp(28 * 28, (256, 128), 10, rngs=ja.random.manual_seed(0))
    apply, params, model_state = ja.training.split_model(model)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        (pixels, labels), is_real = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std).reshape(len(labels), -1)
        logits, model_state = apply(params, model_state, inputs, training=True)
        of_rows = F.cross_entropy(logits, labels, reduction="none")
        loss = jnp.sum(of_rows * is_real) / jnp.maximum(jnp.sum(is_real), 1)
        return loss, (model_state, {})

    tx = ja.optimizers.adamw(options.lr)
    gradient_fn = ja.parallel.data_parallel(
        ja.training.gradients(loss_fn),
        mesh,
        mode=options.mode,  # pyright: ignore[reportArgumentType]
        weight=None if options.mode == "jit" else lambda batch: jnp.sum(batch[1]),
    )
    here = mesh if mesh.devices.flat[0] in jax.devices() else None
    state = ja.training.train_state(params, tx, model_state, mesh=here)
    return ja.training.train_step(gradient_fn, tx, max_grad_norm=1.0), state


def steps_per_epoch(images: ja.data.ImageSet, options: Options) -> int:
    """Return the number of batches of an epoch, the last one among them."""
    return -(-len(images.train_labels) // options.batch_size)


def batches(images: ja.data.ImageSet, epoch: int, options: Options, mesh: Mesh) -> Iterator[Any]:
    """Yield an epoch's batches, each filled up to the same size, and which rows are real.

    Process r of n has every n-th row of a batch from the r-th on, as with ``DistributedSampler``;
    where processes or devices do not divide the batch, some fill up one row more than others.
    """
    order = ja.data.distributed_sampler(images.train_labels, 1, 0, epoch=epoch)  # of all processes
    process, processes = jax.process_index(), jax.process_count()
    devices = mesh.size // processes
    size = -(-options.batch_size // (processes * devices)) * devices

    def own() -> Iterator[Any]:
        for begin in range(0, len(order), options.batch_size):
            rows = order[begin : begin + options.batch_size][process::processes]
            pair = images.train_images[rows], images.train_labels[rows]
            filled = ja.data.pad_to_bucket(pair, [size])
            yield ja.parallel.shard_batch(filled, mesh, whole=False)

    yield from ja.data.prefetch_to_device(own())


def evaluated(state: ja.training.TrainState, images: ja.data.ImageSet, mesh: Mesh) -> float:
    """Return the part of the test digits that is right; each process looks at its share."""
    model = ja.models.mlp(28 * 28, (256, 128), 10, rngs=ja.random.manual_seed(0))
    apply, _, _ = ja.training.split_model(model)

    def right(params: Any, model_state: Any, batch: Any) -> dict[str, jax.Array]:
        pixels, labels = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std).reshape(len(labels), -1)
        logits, _ = apply(params, model_state, inputs, training=False)
        return {"right": (jnp.argmax(logits, -1) == labels).astype(jnp.float32)}

    share = slice(jax.process_index(), None, jax.process_count())
    own = (images.test_images[share], images.test_labels[share])
    of_all = ja.training.evaluate(right, state.params, state.model_state, [own], mesh=mesh)
    return of_all["right"]


def save(path: Path, state: ja.training.TrainState, epoch: int) -> None:
    """Write the state, which every process has whole; at no time is the file half written."""
    if jax.process_index() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new.npz")
        np.savez(new, epoch, *map(np.asarray, jax.tree.leaves(state)))
        os.replace(new, path)


def restored(
    path: Path | None, state: ja.training.TrainState, mesh: Mesh
) -> tuple[int, ja.training.TrainState]:
    """Return the epoch and the state to go on from."""
    if path is None or not path.is_file():
        return 0, state
    with np.load(path) as file:
        epoch, *leaves = file.values()
    saved = jax.tree.unflatten(jax.tree.structure(state), leaves)
    return int(epoch), ja.parallel.replicate(saved, mesh)


def die(options: Options, number: int) -> None:
    """Let the last process die, once."""
    is_last = jax.process_index() == jax.process_count() - 1
    is_first_attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"
    if number == options.die_at and is_last and is_first_attempt:
        os.kill(os.getpid(), signal.SIGKILL)


def fingerprint(params: Any) -> int:
    """Return a number that is another one if any bit is."""
    found = 0
    for leaf in jax.tree.leaves(params):
        found = zlib.crc32(np.asarray(leaf).tobytes(), found)
    return found


def load(options: Options) -> ja.data.ImageSet:
    """Load the digits; a few for a smoke test."""
    images = ja.data.load("mnist5k")
    if not options.smoke:
        return images
    return images._replace(
        train_images=images.train_images[:400], train_labels=images.train_labels[:400]
    )


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the step and its shapes, 32 rows to a device, for any machine."""
    options = Options()
    images = load(options)
    step, state = make_step(options, images, mesh)
    rows, split = 32 * mesh.size, PartitionSpec("data")
    pixels = jax.ShapeDtypeStruct((rows, *images.train_images.shape[1:]), jnp.uint8, sharding=split)
    labels = jax.ShapeDtypeStruct((rows,), images.train_labels.dtype, sharding=split)
    is_real = jax.ShapeDtypeStruct((rows,), jnp.bool_, sharding=split)
    return step, state, ((pixels, labels), is_real)


def under_ray(options: Options) -> None:
    """Train in processes that Ray starts, on one machine or on a cluster."""
    try:
        import ray
    except ModuleNotFoundError:
        raise SystemExit('--ray needs Ray: pip install "jaxaccel[ray]"') from None
    import socket

    @ray.remote(num_cpus=1)
    class Process:
        """One of the processes."""

        def address(self) -> str:
            """Return where process 0 can be reached."""
            with socket.socket() as free:
                free.bind(("", 0))
                return f"{ray.util.get_node_ip_address()}:{free.getsockname()[1]}"

        def train(self, address: str, number: int) -> None:
            """Find the others, and train."""
            jax.config.update("jax_platforms", "cpu")
            jax.config.update("jax_num_cpu_devices", max(1, options.devices // options.ray))
            print(ja.parallel.initialize(address, options.ray, number, timeout=120))
            train(options)

    ray.init(include_dashboard=False)
    processes = [Process.remote() for _ in range(options.ray)]
    address = ray.get(processes[0].address.remote())
    ray.get([each.train.remote(address, number) for number, each in enumerate(processes)])


if __name__ == "__main__":
    main(tyro.cli(Options))
