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

The run is saved every 20 steps, and with ``--resume`` it goes on from there. ``--die-at 60`` shows
it: after that step the last process kills itself, the watchdog ends the others, the launcher starts
all again, and the parameters in the end are, bit for bit, those of a run that nothing has happened
to:

    python -m jaxaccel launch --nproc 2 --devices-per-process 2 --max-restarts 1 \\
        examples/ddp.py --resume --die-at 60

Expected from the defaults, in half a minute on 2 cores: 3 epochs, 93 % of the test digits right.
``--smoke`` only sees that everything runs.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
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
from jax.experimental import multihost_utils
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
    output: Path = Path("outputs")
    """The folder for what is saved, which all processes see."""
    save_every: int = 20
    """Steps from one save to the next."""
    resume: bool = False
    """Go on where an earlier call with the same options was interrupted."""
    die_at: int | None = None
    """After this step the last process kills itself, unless it was started again already."""
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
    folder = folder_of(options)

    def tell(run: ja.training.Run, memory: None) -> None:
        loss, right = run.metrics["loss"], run.metrics["right"]
        if jax.process_index() == 0:
            print(f"epoch {run.epoch + 1}: loss {loss:.6f}, {right:.2%} of the test digits right")

    state, _ = ja.training.fit(
        step,
        state,
        lambda epoch: batches(images, epoch, options, mesh),
        epochs=options.epochs,
        evaluate=lambda state: evaluated(state, images, mesh),
        callbacks=[
            ja.training.heartbeat(options.timeout, folder=folder),  # the watchdog's
            ja.training.Callback("die", on_step=lambda run, _: die(options, run.total_steps)),
            ja.training.Callback("tell", on_epoch=tell),
            *([] if options.ray else [ja.training.preemption()]),  # Ray has the signals
            ja.training.save_every(folder, steps=options.save_every),
        ],
        progress=False,
        resume=folder,
    )
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


def evaluated(state: ja.training.TrainState, images: ja.data.ImageSet, mesh: Mesh) -> Any:
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
    return ja.training.evaluate(right, state.params, state.model_state, [own], mesh=mesh)


def folder_of(options: Options) -> Path:
    """Return where a run of these options is saved; clear it, unless the run goes on."""
    said = repr(dataclasses.replace(options, resume=False, die_at=None))
    folder = options.output / f"ddp_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        if jax.process_index() == 0:
            shutil.rmtree(folder, ignore_errors=True)
        multihost_utils.sync_global_devices("the folder is cleared")  # before anyone looks
    return folder


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
