"""Compare initial weights: PyTorch's default, Xavier, He, and two that know no layer's width.

    python examples/init_comparison.py                # real digits, embedded: no download
    python examples/init_comparison.py --data mnist --download --epochs 10
    python -m jaxaccel aot examples/init_comparison.py --topology tpu:v5e:2x2

A network of three linear layers with ReLU learns digits (Adam, lr 1e-4, batch 128) from five kinds
of initial weights, each from five seeds at once (``vmap``). The weights are drawn by
``ja.random.manual_seed(seed)``: they are, bit for bit, those of a PyTorch script that builds the
model and then calls ``torch.nn.init.xavier_uniform_(layer.weight)`` and so on.

The claim to check: Xavier and He are equal, and both are far ahead of PyTorch's default. The script
prints a table and what the numbers say of the claim, and draws the weights and the learning curves
into ``outputs/``. ``--smoke`` only sees that everything runs.

Expected from the defaults (29 epochs of 4,000 digits), in about a minute on one core:

    weights               std        train loss         test loss  test accuracy
    PyTorch's default  0.0206   0.1392 ± 0.0026   0.2194 ± 0.0025   93.1% ± 0.2%
    Xavier             0.0439   0.0620 ± 0.0015   0.1895 ± 0.0092   94.3% ± 0.3%
    He                 0.0505   0.0587 ± 0.0014   0.1950 ± 0.0114   94.3% ± 0.4%
    U(0, 1)            0.2888      17.9 ± 4.9        17.5 ± 4.3     41.4% ± 4.4%
    N(0, 1)            1.0004     356.8 ± 18.6      383.8 ± 24.6    62.9% ± 0.8%

The claim holds: Xavier and He are both ahead in every seed, and closer to each other than to the
default. What it is about is speed. The default gets to the same place later, and what it is behind
in test accuracy is 1.2 points. The last two show what the scale is for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

SCHEMES = {
    "default": None,  # what the layers draw by themselves
    "xavier": ja.init.xavier_uniform(),
    "he": ja.init.kaiming_uniform(nonlinearity="relu"),
    "uniform": ja.init.uniform(),
    "normal": ja.init.normal(),
}
TITLES = {
    "default": "PyTorch's default",
    "xavier": "Xavier",
    "he": "He",
    "uniform": "U(0, 1)",
    "normal": "N(0, 1)",
}
COLOURS = {
    "default": "#8a8f98",
    "xavier": "#2f7ed8",
    "he": "#e4572e",
    "uniform": "#76b041",
    "normal": "#9b5de5",
}
STEPS = 900  # of Adam, unless the number of epochs is given
EQUAL = 0.25  # of the distance to the default: two schemes that are closer count as equal
SPLIT = PartitionSpec("data")  # seeds over the devices


@dataclass(frozen=True)
class Options:
    """Compare five kinds of initial weights."""

    data: Literal["mnist5k", "mnist", "fashion_mnist"] = "mnist5k"
    """The image set; mnist5k is embedded."""
    folder: Path | None = None
    """Where the set's files are, if not where a package or a download puts them."""
    download: bool = False
    """Fetch missing files."""
    hidden: tuple[int, int] = (256, 128)
    """The widths of the two hidden layers."""
    epochs: int = 0
    """Epochs; 0 is as many as make 900 steps."""
    batch_size: int = 128
    """Images in a batch."""
    lr: float = 1e-4
    """The learning rate of Adam."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the weights and of the order of the images."""
    output: Path = Path("outputs")
    """The folder for the plots."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""
    smoke: bool = False
    """Only see that everything runs: two seeds, two short epochs of a small net."""


class Task(NamedTuple):
    """What all runs share: the data on the device."""

    name: str
    train: tuple[jax.Array, jax.Array]
    test: tuple[jax.Array, jax.Array]


class Trainer(NamedTuple):
    """What training needs, compiled, for all seeds at once."""

    start: Callable[..., Any]
    epoch: Callable[..., Any]
    evaluate: Callable[..., Any]


class Run(NamedTuple):
    """All seeds of one scheme."""

    initial: list[np.ndarray]
    """The weights of each layer at the start, (seeds, inputs, outputs)."""
    final: list[np.ndarray]
    """The same at the end."""
    train_loss: np.ndarray
    """The mean over each epoch's steps, (epochs, seeds)."""
    test_loss: np.ndarray
    """At the start and after each epoch, (epochs + 1, seeds)."""
    test_accuracy: np.ndarray
    """The same."""


def main(options: Options) -> None:
    """Train from all schemes, and report."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console()
    options, task = set_up(options)
    steps = len(task.train[1]) // options.batch_size
    console.print(
        f"{task.name}: {len(task.train[1]):,} training images, {options.epochs} epochs of {steps} "
        f"steps, {len(options.seeds)} seeds"
    )
    trainer, runs = make_trainer(options), {}
    for scheme, title in TITLES.items():
        console.print(f"Training from [bold]{title}[/bold]")
        runs[scheme] = train(scheme, trainer, task, options)
    console.print(results_table(runs))
    if not options.smoke:
        for part in (claim_table(runs), *verdict(runs)):
            console.print(part)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, figure in (("weights", draw_weights(runs)), ("curves", draw_curves(runs))):
        path = options.output / f"init_comparison_{name}_{task.name}.png"
        figure.savefig(path, dpi=130)
        console.print(f"{name.capitalize()}: {path}")


# ------------------------------------------------------------------------------------- training


def build(scheme: str, seed: int, hidden: tuple[int, ...]) -> nnx.Module:
    """Build one seed's model, as a PyTorch script does after ``torch.manual_seed(seed)``."""
    generator = ja.random.manual_seed(seed)
    model = ja.models.mlp(28 * 28, hidden, 10, rngs=generator)
    draw = SCHEMES[scheme]
    for layer in model.layers if draw else ():
        layer.weight[...] = draw(generator, layer.weight.shape, layer.weight.dtype)
        layer.bias[...] = ja.init.zeros()(generator, layer.bias.shape, layer.bias.dtype)
    return model


def make_trainer(options: Options) -> Trainer:
    """Compile one epoch and one evaluation of all seeds side by side."""
    graph = nnx.graphdef(build("default", 0, options.hidden))
    tx = ja.optimizers.adam(lr=options.lr)

    def loss_and_logits(params: Any, images: jax.Array, labels: jax.Array) -> Any:
        logits = nnx.merge(graph, params)(images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses), logits

    def epoch_of_one(params: Any, opt_state: Any, data: Any, order: jax.Array) -> Any:
        def step(carry: Any, rows: jax.Array) -> Any:
            params, opt_state = carry
            objective = jax.value_and_grad(loss_and_logits, has_aux=True)
            (loss, _), grads = objective(params, *(array[rows] for array in data))
            updates, opt_state = tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), loss

        (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), order)
        return params, opt_state, jnp.mean(losses)

    def evaluate_one(params: Any, data: Any) -> tuple[jax.Array, jax.Array]:
        loss, logits = loss_and_logits(params, *data)
        return loss, jnp.mean(jnp.argmax(logits, axis=-1) == data[1])

    return Trainer(
        jax.vmap(tx.init),
        jax.jit(jax.vmap(epoch_of_one, in_axes=(0, 0, None, 0))),
        jax.jit(jax.vmap(evaluate_one, in_axes=(0, None))),
    )


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return an epoch of one seed a device, and the shapes that it takes, for any machine."""
    options = Options(seeds=tuple(range(mesh.size)))
    options, task = set_up(options)
    model = nnx.state(build("default", 0, options.hidden))

    def stacked(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((mesh.size, *leaf.shape), leaf.dtype)

    def spread(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=SPLIT)

    trainer, params = make_trainer(options), jax.tree.map(stacked, model)
    order = stacked(batch_order(len(task.train[1]), 0, options)[0])
    state = (params, jax.eval_shape(trainer.start, params))
    params, opt_state, order = jax.tree.map(spread, (*state, order))
    return trainer.epoch, params, opt_state, task.train, order


def train(scheme: str, trainer: Trainer, task: Task, options: Options) -> Run:
    """Train all seeds of a scheme."""
    models = [build(scheme, seed, options.hidden) for seed in options.seeds]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(nnx.state, models))
    opt_state = trainer.start(params)
    initial, train_loss, tested = weights_of(params), [], [trainer.evaluate(params, task.test)]
    for epoch in range(options.epochs):
        order = batch_order(len(task.train[1]), epoch, options)
        params, opt_state, loss = trainer.epoch(params, opt_state, task.train, order)
        train_loss.append(loss)
        tested.append(trainer.evaluate(params, task.test))
    test_loss, test_accuracy = (np.stack(values) for values in zip(*tested, strict=True))
    return Run(initial, weights_of(params), np.stack(train_loss), test_loss, test_accuracy)


def weights_of(params: Any) -> list[np.ndarray]:
    """Return the weights of each layer, (seeds, inputs, outputs)."""
    return [np.asarray(layer["weight"][...]) for layer in params["layers"].values()]


def batch_order(count: int, epoch: int, options: Options) -> np.ndarray:
    """Return the rows of each batch, (seeds, steps, batch); a last, smaller batch is dropped."""
    steps = count // options.batch_size
    orders = [ja.data.epoch_order(count, seed, epoch) for seed in options.seeds]
    rows = np.stack(orders)[:, : steps * options.batch_size]
    return rows.reshape(len(orders), steps, options.batch_size)


def set_up(options: Options) -> tuple[Options, Task]:
    """Load the data, normalized, and fill in what is left open."""
    try:
        images = ja.data.load(options.data, options.folder, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    count = len(images.train_labels)
    if options.smoke:
        options = dataclasses.replace(options, hidden=(16, 8), epochs=2, seeds=options.seeds[:2])
        count = 4 * options.batch_size

    def part(pixels: np.ndarray, labels: np.ndarray) -> tuple[jax.Array, jax.Array]:
        return ja.data.normalize(pixels, images.mean, images.std), jnp.asarray(labels)

    steps = count // options.batch_size
    if steps == 0:
        raise SystemExit(f"a batch is larger than the {count} training images")
    options = dataclasses.replace(options, epochs=options.epochs or max(1, round(STEPS / steps)))
    train = part(images.train_images[:count], images.train_labels[:count])
    return options, Task(images.name, train, part(images.test_images, images.test_labels))


# ---------------------------------------------------------------------------------- the report


def results_table(runs: dict[str, Run]) -> Table:
    """Put the schemes side by side: mean and standard deviation over the seeds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="std: of the initial weights of the first layer; mean ± deviation of the seeds",
        caption_justify="left",
    )
    table.add_column("weights")
    for name in ("std", "train loss", "test loss", "test accuracy"):
        table.add_column(name, justify="right", no_wrap=True)
    for scheme, run in runs.items():
        table.add_row(
            TITLES[scheme],
            f"{run.initial[0].std():.4f}",
            spread(run.train_loss[-1], ".4g"),
            spread(run.test_loss[-1], ".4g"),
            spread(run.test_accuracy[-1], ".1%"),
        )
    return table


def spread(values: np.ndarray, form: str) -> str:
    """Write a mean and a standard deviation."""
    return f"{np.mean(values):{form}} ± {np.std(values):{form}}"


def claim_table(runs: dict[str, Run]) -> Table:
    """Show the differences of two schemes on the same seeds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="differences at the end, seed by seed; in how many seeds they are positive",
        caption_justify="left",
    )
    table.add_column("difference", no_wrap=True)
    for name in ("train loss", "test loss", "test error"):
        table.add_column(name, justify="right", no_wrap=True)
    for one, other in (("default", "xavier"), ("default", "he"), ("xavier", "he")):
        cells = [
            f"{spread(gap, form)} ({np.sum(gap > 0)}/{len(gap)})"
            for gap, form in zip(gaps(runs[one], runs[other]), (".3f", ".3f", ".1%"), strict=True)
        ]
        table.add_row(f"{one} - {other}", *cells)
    return table


def gaps(one: Run, other: Run) -> list[np.ndarray]:
    """Return how much larger one run's losses and error are at the end, for every seed."""
    return [
        one.train_loss[-1] - other.train_loss[-1],
        one.test_loss[-1] - other.test_loss[-1],
        other.test_accuracy[-1] - one.test_accuracy[-1],
    ]


def verdict(runs: dict[str, Run]) -> list[str]:
    """Say what the numbers make of the claim."""
    default, xavier, he = (runs[scheme] for scheme in ("default", "xavier", "he"))
    both = zip(gaps(xavier, he)[:2], gaps(default, xavier)[:2], gaps(default, he)[:2], strict=True)
    shares = [abs(np.mean(own)) / np.mean([first, second]) for own, first, second in both]
    ahead = np.array([gap > 0 for run in (xavier, he) for gap in gaps(default, run)[:2]]).all(0)
    equal = all(0 <= share < EQUAL for share in shares)
    end = np.mean(default.test_loss[-1])
    epochs = [int(np.sum(np.mean(run.test_loss, 1) > end)) for run in (xavier, he)]
    return [
        f"Xavier = He: [bold]{'yes' if equal else 'no'}[/bold]. They are {shares[0]:.0%} of the "
        f"distance to the default apart in training loss, {shares[1]:.0%} in test loss "
        f"(equal: below {EQUAL:.0%}).",
        f"Both ahead of the default: [bold]{'yes' if ahead.all() else 'no'}[/bold], in both losses "
        f"in {ahead.sum()} of {len(ahead)} seeds. Their test loss is above the default's last one "
        f"for {epochs[0]} and {epochs[1]} of {len(default.train_loss)} epochs.",
    ]


def draw_weights(runs: dict[str, Run]) -> Figure:
    """Draw a histogram of each layer's weights, before and after training, all seeds together."""
    layers = len(runs["default"].initial)
    figure = Figure(figsize=(2.6 * len(runs), 2.2 * layers), layout="constrained")
    figure.suptitle("Weights before (filled) and after training", fontsize=14, fontweight="bold")
    panels = figure.subplots(layers, len(runs), squeeze=False)
    for column, (scheme, run) in enumerate(runs.items()):
        for row, (before, after) in enumerate(zip(run.initial, run.final, strict=True)):
            panel, colour = panels[row, column], COLOURS[scheme]
            edges = np.histogram_bin_edges(np.concatenate([before, after]), 60)
            panel.hist(before.ravel(), edges, density=True, color=colour, alpha=0.45)
            panel.hist(after.ravel(), edges, density=True, histtype="step", color=colour)
            panel.spines[["top", "right", "left"]].set_visible(False)
            panel.set_yticks([])
            if row == 0:
                panel.set_title(TITLES[scheme])
            if column == 0:
                panel.set_ylabel(f"layer {row + 1}")
    return figure


def draw_curves(runs: dict[str, Run]) -> Figure:
    """Draw losses and test error over the epochs: the mean of the seeds, and all of them."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    figure.suptitle("Three linear layers, Adam", fontsize=14, fontweight="bold")
    panels = figure.subplots(2, 3)
    for row, schemes in zip(panels, (runs, ("default", "xavier", "he")), strict=True):
        for scheme in schemes:
            run = runs[scheme]
            epochs = np.arange(len(run.test_loss))
            draw_curve(row[0], epochs[1:], run.train_loss, scheme)
            draw_curve(row[1], epochs, run.test_loss, scheme)
            draw_curve(row[2], epochs, 100 * (1 - run.test_accuracy), scheme)
    for title, panel in zip(
        ("Training loss", "Test loss", "Test error (%)"), panels[0], strict=True
    ):
        panel.set_title(title)
    for panel in panels.flat:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(NullFormatter())
    for panel in panels[1]:
        panel.set_xlabel("epoch")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(runs), frameon=False)
    return figure


def draw_curve(panel: Any, epochs: np.ndarray, values: np.ndarray, scheme: str) -> None:
    """Draw one scheme's mean and the range of its seeds."""
    colour = COLOURS[scheme]
    panel.plot(epochs, values.mean(1), color=colour, linewidth=2, label=TITLES[scheme])
    panel.fill_between(epochs, values.min(1), values.max(1), color=colour, alpha=0.2)


if __name__ == "__main__":
    main(tyro.cli(Options))
