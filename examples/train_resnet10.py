"""Train a ResNet-10 in three stages of acceleration, and show what each stage buys.

    python examples/train_resnet10.py                     # real digits, embedded: no download
    python examples/train_resnet10.py --data cifar10 --folder ~/cifar --width 64
    python examples/train_resnet10.py --devices 8         # a CPU plays eight devices
    python examples/train_resnet10.py --resume            # go on where a call was interrupted
    python -m jaxaccel aot examples/train_resnet10.py --topology tpu:v5e:2x4

(a) baseline: float32, normalized on the host, synchronous transfers, AdamW at a constant learning
    rate, a small batch; operations are dispatched one by one, as PyTorch runs them without
    ``torch.compile``: about 1,000 dispatches a step, each of a small program that was compiled
    when it was first met (about 450 of them).
(b) the same step as one compiled program that overwrites its state, under autocast: in bfloat16,
    and in float16 with a gradient scaler.
(c) also OneCycle on learning rate and beta1, a larger batch in accumulated parts, images
    that travel as bytes and are cropped and normalized on the device, and prefetching.

The script prints a table and draws the curves into ``outputs/``. Everything is timed in the same
run, in turns; b and c in three precisions. No ratio is promised: it depends on the machine.

Expected on 2 cores without an accelerator (width 16, 3 epochs of 4,000 digits): 3 to 8 minutes,
a test accuracy above 95 % in each stage, and that of half precision within half a point of
float32's, which is five of the 1,000 digits. One such run:

    stage  precision  batch  compile      step  images/s  speed-up  train   test  skip
    a      float32       64    3.3 s  151.1 ms       424     1.00x  98.3%  97.1%     -
    b      float32       64    4.1 s   85.0 ms       753     1.78x  98.4%  97.2%     -
    b      bfloat16      64    5.7 s   83.8 ms       764     1.80x  98.4%  96.8%     -
    b      float16       64    9.2 s   83.9 ms       763     1.80x  98.4%  96.7%   0.0
    c      float32      128    7.1 s  144.2 ms       888     2.10x  96.6%  97.1%     -
    c      bfloat16     128    7.9 s  143.6 ms       891     2.10x  96.5%  97.0%     -
    c      float16      128   11.3 s  152.1 ms       841     1.99x  96.7%  97.2%   0.0

The first run compiles; later ones find the programs on disk, and the column ``compile`` shrinks
(``--no-cache`` measures it). A CPU has no other device to overlap with: it gains from compilation,
and in (c) from a larger batch. ``--smoke`` runs a few steps of a tiny net in about 40 seconds.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

Precision = Literal["float32", "bfloat16", "float16"]

TITLES = {
    "a": "one by one, constant rate",
    "b": "+ compiled step",
    "c": "+ OneCycle, large batch, input on the device",
}
COLOURS = {"a": "#8a8f98", "b": "#2f7ed8", "c": "#e4572e"}
EVALUATION_BATCH = 256
ROUNDS = 5  # windows that each step is timed for, in turns; the median counts


class Defaults(NamedTuple):
    """What suits a kind of machine."""

    width: int
    epochs: int
    batch_size: int
    large_batch_limit: int
    window: int  # images per timed window


CPU = Defaults(width=16, epochs=3, batch_size=64, large_batch_limit=128, window=256)
ACCELERATOR = Defaults(width=64, epochs=5, batch_size=128, large_batch_limit=2048, window=16_384)
MIN_STEPS_PER_EPOCH = 24  # a small set keeps the large batch small enough for this


@dataclass(frozen=True)
class Options:
    """Train a ResNet-10 in three stages of acceleration."""

    data: Literal["mnist5k", "fashion_mnist", "mnist", "cifar10"] = "mnist5k"
    """The image set; mnist5k is embedded."""
    folder: Path | None = None
    """Where the set's files are, if not where a package or a download puts them."""
    download: bool = False
    """Fetch missing files."""
    stages: tuple[Literal["a", "b", "c"], ...] = ("a", "b", "c")
    """The stages to run."""
    precisions: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
    """What b and c are timed and trained in."""
    seeds: int = 1
    """How often b and c are trained, each time from other weights and in another order."""
    width: int = 0
    """Channels of the first of four stages; 0 is 16 on a CPU, 64 on an accelerator."""
    epochs: int = 0
    """Epochs of each stage; 0 is 3 on a CPU, 5 on an accelerator."""
    batch_size: int = 0
    """The batch of a and b; 0 is 64 on a CPU, 128 on an accelerator."""
    large_batch: int = 0
    """The batch of c; 0 is 128 on a CPU, 2048 on an accelerator, less for a small set."""
    accumulation: int = 2
    """The parts that c runs a batch in."""
    lr: float = 5e-4
    """The learning rate of a and b."""
    max_lr: float = 5e-3
    """The peak of the learning rate of c."""
    devices: int = 0
    """Devices for b and c; a CPU simulates them. 0 is all there are."""
    seed: int = 0
    """Of the weights, the order of the images and the augmentation."""
    output: Path = Path("outputs")
    """The folder for the plot and what is saved."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""
    resume: bool = False
    """Go on where an earlier call with the same options was interrupted."""
    smoke: bool = False
    """Only see that everything runs: a few steps of a tiny net, one precision."""


class Task(NamedTuple):
    """What the stages share: the data, the model and its weights, and the devices."""

    images: ja.data.ImageSet
    apply: Callable[..., Any]
    weights: Callable[[int], Any]
    """Seed -> the weights to start from, on the host."""
    statistics: Any
    mesh: Mesh

    @property
    def split(self) -> NamedSharding:
        """How a batch lies on the devices: each has its share of the rows."""
        return NamedSharding(self.mesh, PartitionSpec("data"))


class Run(NamedTuple):
    """A stage in one precision: all that timing and training need."""

    stage: str
    precision: Precision
    batch_size: int
    step: Callable[..., Any]
    start: Callable[..., ja.training.TrainState]
    """Seed -> the state to start from; on request on another mesh, or on none."""
    batches: Callable[[int, int], Iterable[Any]]
    """Seed, epoch -> batches."""


Histories: TypeAlias = list[ja.training.History]
Trained: TypeAlias = list[tuple[Run, ja.training.History]]


class Row(NamedTuple):
    """What is known of a run in the end."""

    run: Run
    first_step: float
    steady_step: float
    histories: Histories
    """One for each seed."""

    def last(self, name: str) -> float:
        """Return a number of the last epoch, its mean over the seeds."""
        return float(np.mean([history.epochs[-1][name] for history in self.histories]))

    @property
    def images_per_second(self) -> float:
        """Return the steady rate."""
        return self.run.batch_size / self.steady_step


def main(options: Options) -> None:
    """Time all runs in turns, train each stage once, and report."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console()
    devices = choose_devices(options)
    images = load_images(options)
    options = settle(options, len(images.train_labels), len(devices))
    console.print(device_report(devices, images, options))
    mesh = ja.parallel.make_mesh({"data": len(devices)}, devices=devices)
    task = make_task(options, images, mesh)
    runs = [run for stage in sorted(set(options.stages)) for run in RUNS_OF[stage](task, options)]
    console.print("Timing, in turns ...")
    folder = folder_of(options)
    times = kept(folder / "times.json", partial(time_in_turns, runs, options))
    rows = []
    for run, (first, steady) in zip(runs, times, strict=True):
        console.print(f"Training [bold]{run.stage}[/bold]: {TITLES[run.stage]}, {run.precision}")
        seeds = [options.seed + index for index in range(1 if run.stage == "a" else options.seeds)]
        histories = [train(task, run, folder, options, seed) for seed in seeds]
        rows.append(Row(run, first, steady, histories))
    console.print(results_table(rows, options, len(devices)))
    console.print(f"Curves: {draw(rows, images, options)}")


# ---------------------------------------------------------------------------- the three stages


def stage_a(task: Task, options: Options) -> list[Run]:
    """Operations one by one, on one device."""
    tx = ja.optimizers.adamw(lr=options.lr)
    step = one_by_one(ja.training.gradients(cross_entropy(task)), tx)

    def start(seed: int) -> ja.training.TrainState:
        return ja.training.train_state(task.weights(seed), tx, task.statistics)

    feed = synchronous_batches(task.images, options, sharding=None)
    return [Run("a", "float32", options.batch_size, step, start, feed)]


def stage_b(task: Task, options: Options) -> list[Run]:
    """The whole step as one program, donated state, autocast; the data as before."""
    tx = ja.optimizers.adamw(lr=options.lr)
    feed = synchronous_batches(task.images, options, task.split)

    def run(precision: Precision) -> Run:
        scaler = scaler_for(precision)
        gradient_fn = ja.training.gradients(autocast(cross_entropy(task), precision))
        gradient_fn = ja.parallel.data_parallel(gradient_fn, task.mesh)
        step = ja.training.train_step(gradient_fn, tx, scaler=scaler)

        def start(seed: int, mesh: Mesh | None = task.mesh) -> ja.training.TrainState:
            return ja.training.train_state(
                task.weights(seed), tx, task.statistics, mesh=mesh, scaler=scaler
            )

        return Run("b", precision, options.batch_size, step, start, feed)

    return [run(precision) for precision in options.precisions]


def stage_c(task: Task, options: Options) -> list[Run]:
    """Everything: OneCycle, a large batch in parts, bytes to the device ahead of time."""
    steps = options.epochs * max(1, len(task.images.train_labels) // options.large_batch)
    tx = ja.optimizers.adamw(
        lr=ja.schedules.one_cycle_lr(options.max_lr, steps),
        betas=(ja.schedules.one_cycle_momentum(steps), 0.999),
    )
    feed = prefetched_batches(task.images, options, task.split)
    loss_fn = input_on_device(cross_entropy(task), task.images)

    def run(precision: Precision) -> Run:
        scaler = scaler_for(precision)
        gradient_fn = ja.training.gradients(autocast(loss_fn, precision))
        gradient_fn = ja.training.accumulate(gradient_fn, options.accumulation)
        gradient_fn = ja.parallel.data_parallel(gradient_fn, task.mesh)
        step = ja.training.train_step(gradient_fn, tx, scaler=scaler)

        def start(seed: int, mesh: Mesh | None = task.mesh) -> ja.training.TrainState:
            key, weights = jax.random.key(seed), task.weights(seed)
            return ja.training.train_state(
                weights, tx, task.statistics, key=key, mesh=mesh, scaler=scaler
            )

        return Run("c", precision, options.large_batch, step, start, feed)

    return [run(precision) for precision in options.precisions]


RUNS_OF = {"a": stage_a, "b": stage_b, "c": stage_c}


def autocast(loss_fn: Callable[..., Any], precision: Precision) -> Callable[..., Any]:
    """Compute operation by operation as ``torch.autocast("cuda", precision)`` does."""
    if precision == "float32":
        return loss_fn
    return ja.precision.autocast(loss_fn, "cuda", jnp.dtype(precision))


def scaler_for(precision: Precision) -> ja.precision.GradScaler | None:
    """Return the scaler that float16 needs."""
    return ja.precision.grad_scaler() if precision == "float16" else None


def one_by_one(
    gradient_fn: Callable[..., ja.training.Gradients], tx: optax.GradientTransformation
) -> Callable[..., Any]:
    """Return a step that is not compiled as a whole: every operation is a program of its own."""

    def step(state: ja.training.TrainState, batch: Any) -> tuple[ja.training.TrainState, Any]:
        grads, statistics, metrics = gradient_fn(state.params, state.model_state, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, model_state=statistics, opt_state=opt_state), metrics

    return step


def cross_entropy(task: Task) -> Callable[..., Any]:
    """Return the loss function of normalized images and labels."""

    def loss_fn(params: Any, statistics: Any, batch: Any) -> Any:
        inputs, labels = batch
        logits, statistics = task.apply(params, statistics, inputs, training=True)
        loss = jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels))
        accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == labels)
        return loss, (statistics, {"accuracy": accuracy})

    return loss_fn


def input_on_device(loss_fn: Callable[..., Any], images: ja.data.ImageSet) -> Callable[..., Any]:
    """Return the loss function of raw bytes: augmentation and normalization join the program.

    The step gives every call, and every accumulated part of a batch, a random key of its own.
    """

    def loss_of_bytes(params: Any, statistics: Any, batch: Any, key: jax.Array) -> Any:
        pixels, labels = batch
        pixels = ja.data.augment(key, pixels, images.augmentations)
        inputs = ja.data.normalize(pixels, images.mean, images.std)
        return loss_fn(params, statistics, (inputs, labels))

    return loss_of_bytes


# ------------------------------------------------------------------------------------- the data


def synchronous_batches(
    images: ja.data.ImageSet, options: Options, sharding: NamedSharding | None
) -> Callable[[int, int], Iterator[Any]]:
    """Return ``(seed, epoch) -> batches``: normalized on the host, and waited for."""

    def batches(seed: int, epoch: int) -> Iterator[Any]:
        for pixels, labels in shuffled(images, options.batch_size, seed, epoch):
            batch = jax.device_put((normalize_on_host(pixels, images), labels), sharding)
            yield jax.block_until_ready(batch)

    return batches


def prefetched_batches(
    images: ja.data.ImageSet, options: Options, sharding: NamedSharding
) -> Callable[[int, int], Iterator[Any]]:
    """Return ``(seed, epoch) -> batches``: bytes, on their way while the device is still busy."""

    def batches(seed: int, epoch: int) -> Iterator[Any]:
        on_host = shuffled(images, options.large_batch, seed, epoch)
        return ja.data.prefetch_to_device(on_host, sharding=sharding)

    return batches


def shuffled(images: ja.data.ImageSet, batch_size: int, seed: int, epoch: int) -> Iterator[Any]:
    """Cut an epoch into batches; a last, smaller one is dropped: it would compile anew."""
    order = ja.data.epoch_order(len(images.train_labels), seed, epoch)
    return ja.data.batches(
        images.train_images, images.train_labels, batch_size, order, drop_last=True
    )


def normalize_on_host(pixels: np.ndarray, images: ja.data.ImageSet) -> np.ndarray:
    """Do in NumPy what ``ja.data.normalize`` does on the device."""
    mean, std = np.array(images.mean, np.float32), np.array(images.std, np.float32)
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std


# -------------------------------------------------------------------------- timing and training


def time_in_turns(runs: list[Run], options: Options) -> list[tuple[float, float]]:
    """Return seconds of each run's first step and of a steady one.

    The runs take turns, so that a busy machine slows all of them and the ratios stay.
    """
    window = (CPU if jax.default_backend() == "cpu" else ACCELERATOR).window
    watches = [stopwatch(run, max(1, window // run.batch_size)) for run in runs]
    firsts = [next(watch) for watch in watches]
    rounds = [[next(watch) for watch in watches] for _ in range(1 if options.smoke else ROUNDS)]
    return list(zip(firsts, np.median(rounds, axis=0), strict=True))


def stopwatch(run: Run, steps: int) -> Iterator[float]:
    """Yield the seconds of the first step, then those of one step, over a window of ``steps``.

    What a step needs from the host is part of it. Only the end of a window waits for the device,
    so that a run that works ahead is seen to.
    """
    state = run.start(0)
    feed = itertools.chain.from_iterable(run.batches(0, epoch) for epoch in itertools.count())
    begin = time.perf_counter()
    state, _ = jax.block_until_ready(run.step(state, next(feed)))
    yield time.perf_counter() - begin
    state, _ = jax.block_until_ready(run.step(state, next(feed)))  # warm: not counted
    while True:
        begin = time.perf_counter()
        for batch in itertools.islice(feed, steps):
            state, _ = run.step(state, batch)
        jax.block_until_ready(state)
        yield (time.perf_counter() - begin) / steps


def train(task: Task, run: Run, folder: Path, options: Options, seed: int) -> ja.training.History:
    """Train from the start, or from where the run was saved."""
    images = task.images

    def right(params: Any, statistics: Any, batch: Any) -> dict[str, jax.Array]:
        pixels, labels = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std)
        logits, _ = task.apply(params, statistics, inputs, training=False)
        return {"test": jnp.argmax(logits, axis=-1) == labels}

    def evaluate(state: ja.training.TrainState) -> dict[str, float]:
        batches = ja.data.batches(images.test_images, images.test_labels, EVALUATION_BATCH)
        return ja.training.evaluate(right, state.params, state.model_state, batches, mesh=task.mesh)

    count, losses = len(images.train_labels) // run.batch_size * options.epochs, []
    folder = folder / f"{run.stage}_{run.precision}_{seed}"
    _, history = ja.training.fit(
        run.step,
        run.start(seed),
        partial(run.batches, seed),
        epochs=options.epochs,
        evaluate=evaluate,
        callbacks=[
            ja.training.Callback(
                "losses",
                np.zeros(count),
                on_epoch=keep_losses,
                on_end=lambda run, found: losses.append(found),
            ),
            ja.training.preemption(),
            ja.training.save_every(folder, keep_last=1),
        ],
        resume=folder,
    )
    return history._replace(steps={"loss": losses[0]})


def keep_losses(run: ja.training.Run, losses: np.ndarray) -> ja.training.Reply:
    """Remember the losses of an epoch's steps: a history has none of earlier calls' epochs."""
    of_epoch = [step["loss"] for step in run.record.steps[-run.step :]]
    before = run.total_steps - run.step
    return ja.training.Reply(memory=np.r_[losses[:before], of_epoch, losses[run.total_steps :]])


def kept(path: Path, measure: Callable[[], Any]) -> Any:
    """Return what a file holds; measure it where there is none, and write it as a whole."""
    if not path.exists():
        found, half = json.dumps(measure()), path.with_suffix(".half")
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_text(found)
        half.replace(path)
    return json.loads(path.read_text())


def folder_of(options: Options) -> Path:
    """Return where what these options have done is kept; clear it, unless that is asked for."""
    said = repr(dataclasses.replace(options, resume=False))
    folder = options.output / f"train_resnet10_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


# ---------------------------------------------------------------------------------- the set-up


def choose_devices(options: Options) -> list[jax.Device]:
    """Return the devices to use. Must come before any array: a CPU is divided only once."""
    count = options.devices
    if options.smoke:  # compiling is most of what a smoke test does
        jax.config.update("jax_disable_most_optimizations", True)
    if count:
        jax.config.update("jax_num_cpu_devices", count)
    devices = jax.devices()
    if len(devices) < count:
        raise SystemExit(f"--devices {count}: there are only {len(devices)}")
    return devices[: count or None]


def load_images(options: Options) -> ja.data.ImageSet:
    """Load the set; a small part of it for a smoke test."""
    try:
        images = ja.data.load(options.data, options.folder, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if not options.smoke:
        return images
    return images._replace(
        train_images=images.train_images[:256],
        train_labels=images.train_labels[:256],
        test_images=images.test_images[:256],
        test_labels=images.test_labels[:256],
    )


def settle(options: Options, count: int, devices: int) -> Options:
    """Fill in what is left open, for this machine and ``count`` training images; check it."""
    default = CPU if jax.default_backend() == "cpu" else ACCELERATOR
    if options.smoke:
        default = default._replace(width=4, epochs=1)
        options = dataclasses.replace(options, precisions=("float16",))
    large_batch = default.large_batch_limit
    while large_batch > default.batch_size and count // large_batch < MIN_STEPS_PER_EPOCH:
        large_batch //= 2
    options = dataclasses.replace(
        options,
        width=options.width or default.width,
        epochs=options.epochs or default.epochs,
        batch_size=options.batch_size or default.batch_size,
        large_batch=options.large_batch or large_batch,
    )
    if max(options.batch_size, options.large_batch) > count:
        raise SystemExit(f"a batch is larger than the {count} training images")
    if options.batch_size % devices or options.large_batch % (devices * options.accumulation):
        raise SystemExit(f"a batch, or a part of one, does not divide by {devices} devices")
    return options


def make_task(options: Options, images: ja.data.ImageSet, mesh: Mesh) -> Task:
    """Build the model once; its arrays stay on the host, so that every run starts from them."""

    def model(seed: int) -> nnx.Module:
        return ja.models.resnet10(
            num_classes=len(images.classes),
            in_channels=images.train_images.shape[-1],
            width=options.width,
            rngs=nnx.Rngs(seed),
        )

    @cache
    def weights(seed: int) -> Any:
        return jax.device_get(ja.training.split_model(model(seed))[1])

    apply, _, statistics = ja.training.split_model(model(options.seed))
    return Task(images, apply, weights, jax.device_get(statistics), mesh)


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return stage c's step in bfloat16, and the shapes that it takes, for any machine."""
    options = Options(width=64, epochs=5, large_batch=256 * mesh.size, precisions=("bfloat16",))
    images = load_images(options)
    task = make_task(options, images, mesh)
    task.weights(0)  # drawn here, and not in the abstract
    (run,) = stage_c(task, options)
    split, count = task.split, options.large_batch
    batch = tuple(
        jax.ShapeDtypeStruct((count, *array.shape[1:]), array.dtype, sharding=split)
        for array in (images.train_images, images.train_labels)
    )
    return run.step, jax.eval_shape(partial(run.start, 0, None)), batch


# ---------------------------------------------------------------------------------- the report


def device_report(devices: list[jax.Device], images: ja.data.ImageSet, options: Options) -> Table:
    """Say what the run runs on."""
    report = Table(box=box.SIMPLE_HEAD, show_header=False, title="ResNet-10 in three stages")
    memory = (devices[0].memory_stats() or {}).get("bytes_limit")
    width = options.width
    lines = {
        "devices": f"{len(devices)} x {devices[0].device_kind} ({devices[0].platform})",
        "memory": f"{memory / 2**30:.0f} GiB each" if memory else "the host's",
        "host": f"{os.cpu_count()} cores",
        "versions": f"jax {jax.__version__}, jaxaccel {ja.__version__}",
        "data": f"{images.name}: {len(images.train_labels):,} training images, "
        f"{len(images.test_labels):,} test images",
        "model": f"stages of {width}, {2 * width}, {4 * width}, {8 * width} channels",
        "training": f"{options.epochs} epochs, seed {options.seed}; b and c from {options.seeds}",
    }
    for name, text in lines.items():
        report.add_row(f"[bold]{name}[/bold]", text)
    return report


def results_table(rows: list[Row], options: Options, devices: int) -> Table:
    """Put numbers side by side; what was not trained has no accuracy."""
    where = f"a on one device, b and c on {devices}" if devices > 1 else "all on one device"
    legend = [f"{stage}: {TITLES[stage]}" for stage in TITLES if stage in options.stages]
    notes = [
        *legend,
        f"{where}; c in {options.accumulation} parts a batch",
        "compile: the first step less a steady one; step: median, with its data",
        "speed-up: images/s against a; train: mean over the last epoch's steps",
        f"accuracy of b and c: mean of {options.seeds} seeds; skip: steps that the scaler skipped",
    ]
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="\n".join(notes),
        caption_justify="left",
    )
    table.add_column("stage")
    table.add_column("precision")
    for name in ("batch", "compile", "step", "images/s", "speed-up", "train", "test", "skip"):
        table.add_column(name, justify="right", no_wrap=True)
    baseline = next((row.images_per_second for row in rows if row.run.stage == "a"), None)
    for row in rows:
        table.add_row(*table_cells(row, baseline))
    return table


def table_cells(row: Row, baseline: float | None) -> list[str]:
    """Write a row."""
    rate = row.images_per_second
    steps = len(row.histories[0].steps["loss"])
    scaled = "skipped" in row.histories[0].epochs[0]
    shares = [epoch["skipped"] for history in row.histories for epoch in history.epochs if scaled]
    return [
        row.run.stage,
        row.run.precision,
        str(row.run.batch_size),
        f"{row.first_step - row.steady_step:.1f} s",
        f"{1e3 * row.steady_step:.1f} ms",
        f"{rate:,.0f}",
        f"{rate / baseline:.2f}x" if baseline else "-",
        f"{row.last('accuracy'):.1%}",
        f"{row.last('test'):.1%}",
        f"{steps * np.mean(shares):.1f}" if scaled else "-",
    ]


def draw(rows: list[Row], images: ja.data.ImageSet, options: Options) -> Path:
    """Draw the curves; return where they are."""
    figure = Figure(figsize=(11, 8), layout="constrained")
    title = f"ResNet-10 (width {options.width}) on {images.name}, {jax.devices()[0].device_kind}"
    figure.suptitle(title, fontsize=14, fontweight="bold")
    panels = figure.subplots(2, 2)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
    shown = "bfloat16" if "bfloat16" in options.precisions else options.precisions[-1]
    trained = [
        (row.run, row.histories[0])
        for row in rows
        if row.run.stage == "a" or row.run.precision == shown
    ]
    draw_loss(panels[0, 0], trained)
    draw_accuracy(panels[0, 1], trained)
    draw_error_over_time(panels[1, 1], trained)
    draw_rates(panels[1, 0], rows)
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"train_resnet10_{images.name}.png"
    figure.savefig(path, dpi=130)
    return path


def draw_loss(panel: Any, trained: Trained) -> None:
    """Draw the loss of every step, faint, and its running mean."""
    for run, history in trained:
        loss = history.steps["loss"]
        seen = run.batch_size * np.arange(1, len(loss) + 1)
        length = max(1, len(loss) // 20)
        means = np.convolve(loss, np.full(length, 1 / length), "valid")
        panel.plot(seen, loss, color=COLOURS[run.stage], alpha=0.25, linewidth=0.8)
        panel.plot(seen[length - 1 :], means, color=COLOURS[run.stage], linewidth=2)
    panel.set(title="Training loss", xlabel="images seen", ylabel="cross entropy")
    panel.xaxis.set_major_formatter("{x:,.0f}")
    plain_log_axis(panel)


def draw_accuracy(panel: Any, trained: Trained) -> None:
    """Draw the test accuracy after each epoch."""
    for run, history in trained:
        test = [100 * epoch["test"] for epoch in history.epochs]
        label = f"{run.stage}: {TITLES[run.stage]} ({run.precision})"
        epochs = np.arange(1, len(test) + 1)
        panel.plot(epochs, test, "o-", color=COLOURS[run.stage], linewidth=2, label=label)
    panel.set(title="Test accuracy", xlabel="epoch", ylabel="%")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_error_over_time(panel: Any, trained: Trained) -> None:
    """Draw the test error over the seconds that training steps took."""
    for run, history in trained:
        error = [100 * (1 - epoch["test"]) for epoch in history.epochs]
        seconds = np.cumsum([epoch["seconds"] for epoch in history.epochs])
        panel.plot(seconds, error, "o-", color=COLOURS[run.stage], linewidth=2)
    panel.set(title="Test error over time", xlabel="seconds in training steps", ylabel="%")
    panel.set_xlim(left=0)
    plain_log_axis(panel)


def plain_log_axis(panel: Any) -> None:
    """Make the vertical axis logarithmic, with plain numbers at 1, 2, 5, 10, ..."""
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter(NullFormatter())


def draw_rates(panel: Any, rows: list[Row]) -> None:
    """Draw the images per second of every run."""
    names = [f"{row.run.stage}\n{row.run.precision}" for row in rows]
    rates = [row.images_per_second for row in rows]
    bars = panel.bar(names, rates, color=[COLOURS[row.run.stage] for row in rows], width=0.6)
    panel.bar_label(bars, fmt="{:,.0f}", padding=3)
    panel.margins(y=0.12)
    panel.grid(axis="x", visible=False)
    panel.set(title="Training speed", ylabel="images per second")


if __name__ == "__main__":
    main(tyro.cli(Options))
