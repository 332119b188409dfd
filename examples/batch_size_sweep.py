"""Sweep the batch size: accuracy, time and memory, and what becomes of generalization.

    python examples/batch_size_sweep.py                # real digits, embedded: no download
    python examples/batch_size_sweep.py --epochs 100 --data fashion_mnist --download
    python examples/batch_size_sweep.py --resume       # go on where a call was interrupted
    python -m jaxaccel aot examples/batch_size_sweep.py --topology tpu:v5e:2x2

The advice to check: take the largest batch that fits, for it is the fastest; but large batches
generalize worse. A network of three linear layers learns digits (SGD with momentum) with batches of
32, 64, 128 and 256, from the same weights for each seed. Each batch size is trained twice: with one
learning rate for all, as the advice is mostly given, and with the rate scaled by the batch
(``ja.schedules.scale_lr``), as Goyal et al. do.

Memory is what the compiled step needs (``ja.memory.report``), and ``ja.memory.max_batch_size``
tells how far the batch could go: on this machine within ``--budget`` bytes, or on a chip that is
not here (``--topology tpu:v5e:1x1``; the compiler comes with the extra ``aot``). The script prints
a table and what the numbers say of the advice, and draws ``outputs/batch_size_sweep_*.png``.
``--smoke`` only sees that everything runs.

Expected from the defaults (30 epochs of 4,000 digits), in a minute on 2 cores:

    batch    lr            train            test            gap    epoch   memory
       32  0.02  100.00 ± 0.00 %  95.63 ± 0.31 %  4.37 ± 0.31 %  0.072 s  2.8 MiB
       64  0.02  100.00 ± 0.00 %  94.93 ± 0.29 %  5.07 ± 0.29 %  0.056 s  3.0 MiB
       64  0.04  100.00 ± 0.00 %  95.57 ± 0.53 %  4.43 ± 0.53 %  0.060 s  3.0 MiB
      128  0.02  100.00 ± 0.00 %  94.70 ± 0.08 %  5.30 ± 0.08 %  0.042 s  3.2 MiB
      128  0.08  100.00 ± 0.00 %  95.53 ± 0.12 %  4.47 ± 0.12 %  0.043 s  3.2 MiB
      256  0.02   99.96 ± 0.01 %  94.07 ± 0.21 %  5.89 ± 0.20 %  0.042 s  3.9 MiB
      256  0.16  100.00 ± 0.00 %  95.20 ± 0.29 %  4.80 ± 0.29 %  0.044 s  3.9 MiB

With one rate for all, the largest batch ends 1.6 points behind the smallest in all three seeds;
with the rate scaled by the batch most of it is gone. An epoch takes 1.7 times less time.
"""

from __future__ import annotations

import dataclasses
import shutil
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import Mesh, PartitionSpec
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

Rule = Literal["same", "scaled"]

RULES: dict[Rule, str] = {"same": "one rate for all", "scaled": "rate scaled by the batch"}
COLOURS = ("#2f7ed8", "#76b041", "#f2a33a", "#e4572e", "#9b5de5", "#8a8f98")
STYLES: dict[Rule, str] = {"same": "-", "scaled": "--"}
HIDDEN = (256, 128)
SPLIT = PartitionSpec("data")  # a batch over the devices


@dataclass(frozen=True)
class Options:
    """Sweep the batch size."""

    data: Literal["mnist5k", "mnist", "fashion_mnist"] = "mnist5k"
    """The image set; mnist5k is embedded."""
    folder: Path | None = None
    """Where the set's files are, if not where a package or a download puts them."""
    download: bool = False
    """Fetch missing files."""
    batch_sizes: tuple[int, ...] = (32, 64, 128, 256)
    """What is swept; the learning rate is for the first."""
    epochs: int = 30
    """Epochs of every run: 100 to see what is left when all have converged."""
    lr: float = 0.02
    """The learning rate at the first batch size."""
    momentum: float = 0.9
    """Of SGD."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the weights and of the order of the images."""
    budget: float = 256.0
    """MiB that a step may need where the largest batch is sought on this machine."""
    topology: str = ""
    """Seek the largest batch for this machine instead, and ask its compiler for the memory."""
    output: Path = Path("outputs")
    """The folder for the plot and what is saved."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""
    resume: bool = False
    """Go on where an earlier call with the same options was interrupted."""
    smoke: bool = False
    """Only see that everything runs: two batch sizes, one seed, one short epoch."""


class Run(NamedTuple):
    """A batch size with a rule for the learning rate, all seeds."""

    batch_size: int
    rule: Rule
    lr: float
    train: np.ndarray
    """Accuracy on the training images after each epoch, (epochs, seeds)."""
    test: np.ndarray
    """Accuracy on the test images after each epoch, (epochs, seeds)."""
    seconds: float
    """Of an epoch's steps, the median."""
    memory: ja.memory.MemoryReport

    @property
    def gap(self) -> np.ndarray:
        """What is lost from training to test images in the end, (seeds,)."""
        return self.train[-1] - self.test[-1]


def main(options: Options) -> None:
    """Sweep, seek the largest batch, and report."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console()
    options, images = set_up(options)
    folder, count = folder_of(options), len(images.train_labels)
    console.print(f"{images.name}: {count:,} training images, {options.epochs} epochs")
    runs = []
    for batch_size in options.batch_sizes:
        for rule, title in RULES.items():
            if rule == "scaled" and batch_size == options.batch_sizes[0]:
                continue  # it is the same run
            console.print(f"Training with batches of [bold]{batch_size}[/bold], {title}")
            runs.append(train(batch_size, rule, images, folder, options))
    console.print(results_table(runs))
    for line in verdict(runs):
        console.print(line)
    console.print(f"\n{largest(images, options)}", highlight=False)
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"batch_size_sweep_{images.name}.png"
    draw(runs).savefig(path, dpi=130)
    console.print(f"Curves: {path}")


# ------------------------------------------------------------------------------------- training


def make_step(
    lr: float, seed: int, images: ja.data.ImageSet, options: Options
) -> tuple[Callable[..., Any], ja.training.TrainState, Callable[..., Any]]:
    """Return the step, the state that it starts from, and the function that judges the model."""
    model = ja.models.mlp(28 * 28, HIDDEN, 10, rngs=ja.random.manual_seed(seed))
    apply, params, model_state = ja.training.split_model(model)
    tx = ja.optimizers.sgd(lr=lr, momentum=options.momentum)

    def logits_of(params: Any, model_state: Any, pixels: jax.Array) -> Any:
        inputs = ja.data.normalize(pixels, images.mean, images.std)
        return apply(params, model_state, inputs.reshape(len(pixels), -1), training=True)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, model_state = logits_of(params, model_state, batch[0])
        return ja.functional.cross_entropy(logits, batch[1]), (model_state, {})

    def right(params: Any, model_state: Any, batch: Any) -> dict[str, jax.Array]:
        logits, _ = logits_of(params, model_state, batch[0])
        return {"right": jnp.argmax(logits, axis=-1) == batch[1]}

    step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
    return step, ja.training.train_state(params, tx, model_state), right


def train(
    batch_size: int, rule: Rule, images: ja.data.ImageSet, folder: Path, options: Options
) -> Run:
    """Train all seeds with one batch size, or take what was saved of them."""
    lr, first = options.lr, options.batch_sizes[0]
    if rule == "scaled":
        lr = ja.schedules.scale_lr(lr, first, batch_size)
    step, _, right = make_step(lr, options.seeds[0], images, options)
    sets = {
        "train": (images.train_images, images.train_labels),
        "test": (images.test_images, images.test_labels),
    }

    def evaluate(state: ja.training.TrainState) -> dict[str, float]:
        return {
            name: ja.training.evaluate(right, state.params, state.model_state, [rows])["right"]
            for name, rows in sets.items()
        }

    histories = []
    for seed in options.seeds:
        _, state, _ = make_step(lr, seed, images, options)
        batches = partial(shuffled, images, batch_size, seed)
        of_run = folder / f"{batch_size}_{rule}_{seed}"
        _, history = ja.training.fit(
            step,
            state,
            batches,
            epochs=options.epochs,
            callbacks=[
                ja.training.preemption(),
                ja.training.save_every(of_run, epochs=options.epochs, keep_last=1),
            ],
            evaluate=evaluate,
            progress=False,
            resume=of_run,
        )
        histories.append(history.epochs)
    _, state, _ = make_step(lr, options.seeds[0], images, options)
    memory = ja.memory.report(
        step, state, make_batch(images, batch_size), topology=options.topology or None
    )
    train, test, seconds = (
        np.array([[epoch[name] for epoch in epochs] for epochs in histories]).T
        for name in ("train", "test", "seconds")
    )
    return Run(
        batch_size,
        rule,
        lr,
        train,
        test,
        float(np.median(seconds[-max(1, len(seconds) - 1) :])),
        memory,
    )


def shuffled(images: ja.data.ImageSet, batch_size: int, seed: int, epoch: int) -> Iterator[Any]:
    """Cut an epoch into batches; a last, smaller one is dropped: it would compile anew."""
    order = ja.data.epoch_order(len(images.train_labels), seed, epoch)
    return ja.data.batches(
        images.train_images, images.train_labels, batch_size, order, drop_last=True
    )


def make_batch(images: ja.data.ImageSet, batch_size: int) -> Any:
    """Return the shapes of a batch."""
    pixels = jax.ShapeDtypeStruct((batch_size, *images.train_images.shape[1:]), jnp.uint8)
    return pixels, jax.ShapeDtypeStruct((batch_size,), jnp.int32)


def largest(images: ja.data.ImageSet, options: Options) -> ja.memory.BatchSize:
    """Seek the largest batch that fits, by compiling."""
    step, state, _ = make_step(options.lr, options.seeds[0], images, options)
    return ja.memory.max_batch_size(
        step,
        partial(make_batch, images),
        state,
        topology=options.topology or None,
        budget=None if options.topology else round(options.budget * 2**20),
        start=options.batch_sizes[-1],
        multiple_of=8,
    )


def folder_of(options: Options) -> Path:
    """Return where runs of these options are saved; clear it, unless they go on."""
    said = repr(dataclasses.replace(options, resume=False))
    folder = options.output / f"batch_size_sweep_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the step and its shapes, the largest batch on every device, for any machine."""
    options, images = set_up(Options())
    step, state, _ = make_step(options.lr, 0, images, options)
    batch = jax.tree.map(
        lambda leaf: leaf.update(sharding=SPLIT),
        make_batch(images, options.batch_sizes[-1] * mesh.size),
    )
    return step, state, batch


def set_up(options: Options) -> tuple[Options, ja.data.ImageSet]:
    """Load the data; a small part of it for a smoke test."""
    try:
        images = ja.data.load(options.data, options.folder, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if options.smoke:
        options = dataclasses.replace(
            options, batch_sizes=options.batch_sizes[:2], epochs=1, seeds=options.seeds[:1]
        )
        count = 4 * options.batch_sizes[-1]
        images = images._replace(
            train_images=images.train_images[:count], train_labels=images.train_labels[:count]
        )
    if max(options.batch_sizes) > len(images.train_labels):
        raise SystemExit(f"a batch is larger than the {len(images.train_labels)} training images")
    return options, images


# ---------------------------------------------------------------------------------- the report


def results_table(runs: list[Run]) -> Table:
    """Put the runs side by side: mean and standard deviation over the seeds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="gap: training less test accuracy; mean ± deviation of the seeds\n"
        "epoch: seconds in steps, median; memory: what the compiled step needs",
        caption_justify="left",
    )
    for name in ("batch", "lr", "train", "test", "gap", "epoch", "memory"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        table.add_row(
            str(run.batch_size),
            f"{run.lr:g}",
            spread(run.train[-1]),
            spread(run.test[-1]),
            spread(run.gap),
            f"{run.seconds:.3f} s",
            f"{run.memory.total / 2**20:.1f} MiB",
        )
    return table


def spread(values: np.ndarray) -> str:
    """Write a mean and a standard deviation, in percent."""
    return f"{100 * np.mean(values):.2f} ± {100 * np.std(values):.2f} %"


def verdict(runs: list[Run]) -> list[str]:
    """Say what the numbers make of the advice."""
    same, scaled = ([run for run in runs if run.rule == rule] for rule in RULES)
    small, large, scaled = same[0], same[-1], scaled[-1]
    faster = small.seconds / large.seconds
    lost = 100 * np.mean(small.test[-1] - large.test[-1])
    left = 100 * np.mean(small.test[-1] - scaled.test[-1])
    every = int(np.sum(small.test[-1] > large.test[-1]))
    return [
        f"An epoch with batches of {large.batch_size} takes 1/{faster:.1f} of the time and "
        f"{large.memory.total / small.memory.total:.2f} times the memory of one with "
        f"{small.batch_size}.",
        f"With one rate for all it ends {lost:.2f} points of test accuracy behind "
        f"({every} of {len(small.test[-1])} seeds), and {100 * np.mean(large.gap):.2f} points "
        f"behind its own training accuracy (small: {100 * np.mean(small.gap):.2f}).",
        f"With the rate scaled by the batch it ends {left:.2f} points behind.",
    ]


def draw(runs: list[Run]) -> Figure:
    """Draw accuracy, gap, time and memory."""
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    figure.suptitle("Batch size, SGD with momentum", fontsize=14, fontweight="bold")
    panels = figure.subplots(2, 3)
    sizes = sorted({run.batch_size for run in runs})
    colours = dict(zip(sizes, COLOURS, strict=False))
    for run in runs:
        epochs = np.arange(1, len(run.test) + 1)
        style = {"color": colours[run.batch_size], "linestyle": STYLES[run.rule]}
        label = f"{run.batch_size}, {RULES[run.rule]}"
        for panel, accuracy in zip(panels[0], (run.train, run.test), strict=False):
            error = 100 * (1 - accuracy)
            panel.plot(epochs, error.mean(1), linewidth=2, label=label, **style)
            panel.fill_between(epochs, error.min(1), error.max(1), color=style["color"], alpha=0.12)
        seconds = run.seconds * epochs
        panels[0, 2].plot(seconds, 100 * (1 - run.test.mean(1)), linewidth=2, **style)
    draw_by_size(panels[1], runs, sizes)
    titles = (
        ("Training error (%)", "epoch"),
        ("Test error (%)", "epoch"),
        ("Test error (%) over time", "seconds in training steps"),
        ("Gap from training to test (points)", "batch"),
        ("Seconds of an epoch", "batch"),
        ("Memory of a step (MiB)", "batch"),
    )
    for panel, (title, x) in zip(panels.flat, titles, strict=True):
        panel.set(title=title, xlabel=x)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.set_axisbelow(True)
    for panel in panels[0]:
        panel.set_yscale("symlog" if panel is panels[0, 0] else "log")
        panel.yaxis.set_major_formatter("{x:g}")
    for panel in panels[0, 1:]:
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in panels[0, :2]:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = panels[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_by_size(panels: Any, runs: list[Run], sizes: list[int]) -> None:
    """Draw what is one number for each batch size."""
    places = np.arange(len(sizes))
    for offset, rule in zip((-0.2, 0.2), RULES, strict=True):
        chosen = {run.batch_size: run for run in runs if run.rule == rule}
        shown = [size for size in sizes if size in chosen]
        at = [sizes.index(size) + offset for size in shown]
        gaps = [100 * chosen[size].gap for size in shown]
        panels[0].bar(
            at,
            [np.mean(gap) for gap in gaps],
            0.38,
            yerr=[np.std(gap) for gap in gaps],
            color="#2f7ed8" if rule == "same" else "#e4572e",
            label=RULES[rule],
        )
    panels[0].margins(y=0.3)  # for the legend
    panels[0].legend(frameon=False)
    by_size = {run.batch_size: run for run in runs if run.rule == "same"}
    for panel, values in (
        (panels[1], [by_size[size].seconds for size in sizes]),
        (panels[2], [by_size[size].memory.total / 2**20 for size in sizes]),
    ):
        bars = panel.bar(places, values, 0.6, color="#2f7ed8")
        panel.bar_label(bars, fmt="{:.3g}", padding=3)
        panel.margins(y=0.12)
    for panel in panels:
        panel.set_xticks(places, [str(size) for size in sizes])
        panel.grid(axis="x", visible=False)


if __name__ == "__main__":
    main(tyro.cli(Options))
