"""Compare normalizations: none, BatchNorm, LayerNorm and GroupNorm, in two kinds of net.

    python examples/norm_comparison.py                # real digits, embedded: no download
    python examples/norm_comparison.py --data fashion_mnist --download --epochs 5
    python examples/norm_comparison.py --resume       # go on where a call was interrupted
    python -m jaxaccel aot examples/norm_comparison.py --topology tpu:v5e:2x2

What does a normalization do for a convolutional net, and what for an LSTM? Both learn digits
(AdamW, batch 64), the LSTM from an image's rows as a sequence. For each net all four runs of a seed
start from the same weights (``ja.random.manual_seed``) and see the same batches.

- Convolutional net: three convolutions 3x3 of stride 2, each with normalization and ReLU; the mean
  over positions; a linear layer. LayerNorm takes the channels of one position, as in ConvNeXt;
  GroupNorm a group's channels at all positions.
- LSTM: a linear layer for the rows, and normalization; the LSTM; normalization of its last output;
  a linear layer. Normalized is what goes in and what comes out, not what is inside the recurrence.
  LayerNorm takes one row's features; GroupNorm a group's features over all rows.

The script prints a table and draws the learning curves into ``outputs/``. ``--smoke`` only sees
that everything runs.

Expected from the defaults (10 epochs of 4,000 digits), in two to three minutes on 2 cores:

    net                normalization       train loss  test accuracy
    Convolutional net  none           0.3546 ± 0.0278   89.9% ± 0.7%
    Convolutional net  BatchNorm      0.2104 ± 0.0080   92.5% ± 0.3%
    Convolutional net  LayerNorm      0.4159 ± 0.0116   90.1% ± 1.2%
    Convolutional net  GroupNorm      0.3399 ± 0.0155   90.1% ± 0.5%
    LSTM               none           0.1333 ± 0.0213   93.7% ± 0.4%
    LSTM               BatchNorm      0.1340 ± 0.0094   92.0% ± 0.3%
    LSTM               LayerNorm      0.1179 ± 0.0083   93.8% ± 0.7%
    LSTM               GroupNorm      0.1239 ± 0.0020   93.1% ± 0.1%

In the convolutional net BatchNorm alone is clearly ahead. In the LSTM no normalization ends ahead
of none by more than the seeds differ, and BatchNorm costs 1.7 points of test accuracy. Three seeds,
1,000 test images and a short training: smaller differences than these mean nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

Norm: TypeAlias = Callable[[int], nnx.Module] | None
"""Makes a layer for so many features; None: no layer."""

NETS = {"conv": "Convolutional net", "lstm": "LSTM"}
TITLES = {"none": "none", "batch": "BatchNorm", "layer": "LayerNorm", "group": "GroupNorm"}
COLOURS = {"none": "#8a8f98", "batch": "#2f7ed8", "layer": "#e4572e", "group": "#76b041"}
GROUPS = 4  # of GroupNorm
STEPS = 600  # of AdamW, unless the number of epochs is given
SPLIT = PartitionSpec("data")  # a batch over the devices


@dataclass(frozen=True)
class Options:
    """Compare three normalizations and none, in a convolutional net and in an LSTM."""

    data: Literal["mnist5k", "mnist", "fashion_mnist"] = "mnist5k"
    """The image set; mnist5k is embedded."""
    folder: Path | None = None
    """Where the set's files are, if not where a package or a download puts them."""
    download: bool = False
    """Fetch missing files."""
    channels: tuple[int, int, int] = (16, 32, 64)
    """Of the three convolutions, multiples of 4 (the groups of GroupNorm)."""
    hidden: int = 64
    """The width of the LSTM and of its input layer, a multiple of 4."""
    epochs: int = 0
    """Epochs; 0 is as many as make 600 steps."""
    batch_size: int = 64
    """Images in a batch."""
    lr: float = 1e-3
    """The learning rate of AdamW."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the weights and of the order of the images."""
    output: Path = Path("outputs")
    """The folder for the plot."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""
    resume: bool = False
    """Take what an earlier call with the same options had finished when it was interrupted."""
    smoke: bool = False
    """Only see that everything runs: two seeds, one short epoch of small nets."""


class Run(NamedTuple):
    """All seeds of one normalization in one net."""

    train_loss: np.ndarray
    """The mean over each epoch's steps, (epochs, seeds)."""
    test_accuracy: np.ndarray
    """After each epoch, (epochs, seeds)."""


Runs: TypeAlias = dict[str, dict[str, Run]]
"""A run for each net and normalization."""


def main(options: Options) -> None:
    """Train both nets with all normalizations, and report."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console()
    options, images = set_up(options)
    count = len(images.train_labels)
    console.print(
        f"{images.name}: {count:,} training images, {options.epochs} epochs of "
        f"{count // options.batch_size} steps, {len(options.seeds)} seeds"
    )
    runs: Runs = {}
    for net in NETS:
        runs[net] = {}
        for norm, title in TITLES.items():
            if (done := finished(net, norm, options)) is not None:
                console.print(f"[bold]{NETS[net]}[/bold], {title}, was finished before")
            else:
                console.print(f"Training [bold]{NETS[net]}[/bold], normalization: {title}")
                done = train(partial(build, net, norm, options), images, options)
                keep(net, norm, done, options)
            runs[net][norm] = done
    console.print(results_table(runs))
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"norm_comparison_{images.name}.png"
    draw_curves(runs).savefig(path, dpi=130)
    console.print(f"Curves: {path}")


# ------------------------------------------------------------------------------------- the nets


class ConvNet(nnx.Module):
    """Three convolutions, each with normalization and ReLU; mean over positions; linear."""

    def __init__(self, channels: tuple[int, ...], norm: Norm, rngs: ja.random.Generator):
        norm = norm or ja.nn.Identity
        pairs = list(zip((1, *channels), channels, strict=False))
        self.convs = nnx.List(
            [ja.nn.Conv2d(*pair, 3, stride=2, padding=1, rngs=rngs) for pair in pairs]
        )
        self.norms = nnx.List([norm(features) for features in channels])
        self.head = ja.nn.Linear(channels[-1], 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the logits of images (N, H, W, 1)."""
        x = images
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = jax.nn.relu(norm(conv(x)))
        return self.head(jnp.mean(x, axis=(1, 2)))


class RowLSTM(nnx.Module):
    """A linear layer for each row, an LSTM over the rows, a linear layer for the last output."""

    def __init__(self, hidden: int, norm: Norm, rngs: ja.random.Generator):
        norm = norm or ja.nn.Identity
        self.project = ja.nn.Linear(28, hidden, rngs=rngs)
        self.norm_in = norm(hidden)
        self.lstm = ja.nn.LSTM(hidden, hidden, batch_first=True, rngs=rngs)
        self.norm_out = norm(hidden)
        self.head = ja.nn.Linear(hidden, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        """Return the logits of images (N, rows, 28, 1)."""
        rows = jnp.squeeze(images, axis=-1)
        outputs, _ = self.lstm(self.norm_in(self.project(rows)))
        return self.head(self.norm_out(outputs[:, -1]))


def build(net: str, norm: str, options: Options, seed: int) -> nnx.Module:
    """Build one seed's model. Normalizations draw nothing: all start from the same weights."""
    generator = ja.random.manual_seed(seed)
    norms: dict[str, Norm] = {
        "none": None,
        "batch": ja.nn.BatchNorm2d if net == "conv" else ja.nn.BatchNorm1d,
        "layer": ja.nn.LayerNorm,
        "group": partial(ja.nn.GroupNorm, GROUPS),
    }
    if net == "conv":
        return ConvNet(options.channels, norms[norm], generator)
    return RowLSTM(options.hidden, norms[norm], generator)


# ------------------------------------------------------------------------------------- training


def train(
    build_seed: Callable[[int], nnx.Module], images: ja.data.ImageSet, options: Options
) -> Run:
    """Train a net from each seed, with one compiled step and one compiled evaluation."""
    apply, _, _ = ja.training.split_model(build_seed(options.seeds[0]))
    tx = ja.optimizers.adamw(lr=options.lr)

    def right(params: Any, statistics: Any, batch: Any) -> dict[str, jax.Array]:
        pixels, labels = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std)
        logits, _ = apply(params, statistics, inputs, training=False)
        return {"test": jnp.argmax(logits, axis=-1) == labels}

    def evaluate(state: ja.training.TrainState) -> dict[str, float]:
        test = [(images.test_images, images.test_labels)]
        return ja.training.evaluate(right, state.params, state.model_state, test)

    step, histories = make_step(apply, tx, images), []
    for seed in options.seeds:
        _, params, statistics = ja.training.split_model(build_seed(seed))
        _, history = ja.training.fit(
            step,
            ja.training.train_state(params, tx, statistics),
            partial(shuffled, images, options.batch_size, seed),
            epochs=options.epochs,
            evaluate=evaluate,
            progress=False,
        )
        histories.append(history.epochs)
    curves = [
        np.array([[epoch[name] for epoch in epochs] for epochs in histories]).T
        for name in ("loss", "test")
    ]
    return Run(*curves)


def make_step(apply: Callable[..., Any], tx: Any, images: ja.data.ImageSet) -> Callable[..., Any]:
    """Return the training step of a net."""

    def loss_fn(params: Any, statistics: Any, batch: Any) -> Any:
        pixels, labels = batch
        inputs = ja.data.normalize(pixels, images.mean, images.std)
        # BatchNorm's running statistics travel from step to step; the other nets have none.
        logits, statistics = apply(params, statistics, inputs, training=True)
        return ja.functional.cross_entropy(logits, labels), (statistics, {})

    return ja.training.train_step(ja.training.gradients(loss_fn), tx)


def file_of(net: str, norm: str, options: Options) -> Path:
    """Return where a finished run is kept."""
    return options.output / f"norm_comparison_{options.data}_{net}_{norm}.npz"


def keep(net: str, norm: str, run: Run, options: Options) -> None:
    """Keep a finished run, for a call that goes on; the file is there whole or not at all."""
    options.output.mkdir(parents=True, exist_ok=True)
    path = file_of(net, norm, options)
    half = path.with_suffix(".half.npz")
    np.savez(half, options=said(options), **run._asdict())
    half.replace(path)


def finished(net: str, norm: str, options: Options) -> Run | None:
    """Return a run that an earlier call of the same options has finished, if asked for."""
    path = file_of(net, norm, options)
    if not options.resume or not path.exists():
        return None
    with np.load(path) as kept:
        is_same = str(kept["options"]) == said(options)
        return Run(*(kept[name] for name in Run._fields)) if is_same else None


def said(options: Options) -> str:
    """Return what a run depends on, in words."""
    return repr(dataclasses.replace(options, resume=False, cache=True, output=Path()))


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the step of the convolutional net with BatchNorm and its shapes, for any machine."""
    options, images = set_up(Options())
    apply, params, statistics = ja.training.split_model(build("conv", "batch", options, 0))
    tx = ja.optimizers.adamw(lr=options.lr)
    state = jax.eval_shape(lambda: ja.training.train_state(params, tx, statistics))
    batch = tuple(
        jax.ShapeDtypeStruct(
            (options.batch_size * mesh.size, *array.shape[1:]), array.dtype, sharding=SPLIT
        )
        for array in (images.train_images, images.train_labels)
    )
    return make_step(apply, tx, images), state, batch


def shuffled(images: ja.data.ImageSet, batch_size: int, seed: int, epoch: int) -> Iterator[Any]:
    """Cut an epoch into batches; a last, smaller one is dropped: it would compile anew."""
    order = ja.data.epoch_order(len(images.train_labels), seed, epoch)
    return ja.data.batches(
        images.train_images, images.train_labels, batch_size, order, drop_last=True
    )


def set_up(options: Options) -> tuple[Options, ja.data.ImageSet]:
    """Load the data, and fill in what is left open."""
    try:
        images = ja.data.load(options.data, options.folder, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    if options.smoke:
        options = dataclasses.replace(
            options, channels=(4, 4, 4), hidden=4, epochs=1, seeds=options.seeds[:2]
        )
        count = 4 * options.batch_size
        images = images._replace(
            train_images=images.train_images[:count], train_labels=images.train_labels[:count]
        )
    steps = len(images.train_labels) // options.batch_size
    if steps == 0:
        raise SystemExit(f"a batch is larger than the {len(images.train_labels)} training images")
    epochs = options.epochs or max(1, round(STEPS / steps))
    return dataclasses.replace(options, epochs=epochs), images


# ---------------------------------------------------------------------------------- the report


def results_table(runs: Runs) -> Table:
    """Put the normalizations side by side: mean and standard deviation over the seeds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="train loss: of the last epoch; mean ± deviation of the seeds",
        caption_justify="left",
    )
    table.add_column("net", no_wrap=True)
    table.add_column("normalization", no_wrap=True)
    for name in ("train loss", "test accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    for net, by_norm in runs.items():
        for norm, run in by_norm.items():
            table.add_row(
                NETS[net],
                TITLES[norm],
                spread(run.train_loss[-1], ".4f"),
                spread(run.test_accuracy[-1], ".1%"),
            )
    return table


def spread(values: np.ndarray, form: str) -> str:
    """Write a mean and a standard deviation."""
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}"


def draw_curves(runs: Runs) -> Figure:
    """Draw training loss and test error over the epochs: the mean of the seeds, and their range."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    figure.suptitle("Normalization, AdamW", fontsize=14, fontweight="bold")
    panels = figure.subplots(len(runs), 2, sharex=True)
    for row, (net, by_norm) in zip(panels, runs.items(), strict=True):
        for norm, run in by_norm.items():
            draw_curve(row[0], run.train_loss, norm)
            draw_curve(row[1], 100 * (1 - run.test_accuracy), norm)
        row[0].set_title(f"{NETS[net]}: training loss")
        row[1].set_title(f"{NETS[net]}: test error (%)")
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in panels[-1]:
        panel.set_xlabel("epoch")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(TITLES), frameon=False)
    return figure


def draw_curve(panel: Any, values: np.ndarray, norm: str) -> None:
    """Draw one normalization's mean and the range of its seeds."""
    epochs, colour = np.arange(1, len(values) + 1), COLOURS[norm]
    panel.plot(epochs, values.mean(1), color=colour, linewidth=2, label=TITLES[norm])
    panel.fill_between(epochs, values.min(1), values.max(1), color=colour, alpha=0.2)


if __name__ == "__main__":
    main(tyro.cli(Options))
