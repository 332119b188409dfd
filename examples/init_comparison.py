"""Compare initial weights: PyTorch's default, Xavier and He, and two that know no layer's width.

    python examples/init_comparison.py                # real digits, embedded: no download
    python examples/init_comparison.py --data mnist --download --epochs 10
    python examples/init_comparison.py --resume       # go on where a call was interrupted
    python -m jaxaccel aot examples/init_comparison.py --topology tpu:v5e:2x2

A network of three linear layers with ReLU learns digits (Adam, lr 1e-4, batch 128) from seven kinds
of initial weights, each from five seeds at once (``vmap``). The weights are drawn by
``ja.random.manual_seed(seed)``: they are, bit for bit, those of a PyTorch script that builds the
model and then calls ``torch.nn.init.xavier_uniform_(layer.weight)`` and so on.

The claims to check: Xavier and He are equal, and both are far ahead of PyTorch's default; and
whether they draw from a uniform or a normal distribution makes no difference. The script
prints a table and what the numbers say of the claim, and draws the weights and the learning curves
into ``outputs/``. ``--smoke`` only sees that everything runs.

Expected from the defaults (29 epochs of 4,000 digits), in a minute and a half on one core:

    weights               std        train loss         test loss  test accuracy
    PyTorch's default  0.0206   0.1392 ± 0.0026   0.2194 ± 0.0024   93.1% ± 0.2%
    Xavier, uniform    0.0439   0.0620 ± 0.0015   0.1895 ± 0.0092   94.3% ± 0.3%
    Xavier, normal     0.0439   0.0629 ± 0.0026   0.1881 ± 0.0047   94.4% ± 0.3%
    He, uniform        0.0505   0.0587 ± 0.0014   0.1950 ± 0.0116   94.3% ± 0.4%
    He, normal         0.0505   0.0584 ± 0.0026   0.1939 ± 0.0044   94.2% ± 0.3%
    U(0, 1)            0.2888      17.7 ± 4.9        17.6 ± 4.2     41.5% ± 4.5%
    N(0, 1)            1.0004     356.8 ± 18.6      383.8 ± 24.6    62.9% ± 0.8%

The claims hold: Xavier and He are both ahead in every seed, and closer to each other than to the
default; uniform and normal differ by less than one standard error of five seeds, and by at most a
twentieth of the distance to the default. What the first claim is about is speed. The default gets
to the same place later, and what it is behind in test accuracy is 1.2 points. The last two show
what the scale is for.
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
    "xavier_normal": ja.init.xavier_normal(),
    "he": ja.init.kaiming_uniform(nonlinearity="relu"),
    "he_normal": ja.init.kaiming_normal(nonlinearity="relu"),
    "uniform": ja.init.uniform(),
    "normal": ja.init.normal(),
}
TITLES = {
    "default": "PyTorch's default",
    "xavier": "Xavier, uniform",
    "xavier_normal": "Xavier, normal",
    "he": "He, uniform",
    "he_normal": "He, normal",
    "uniform": "U(0, 1)",
    "normal": "N(0, 1)",
}
COLOURS = {
    "default": "#8a8f98",
    "xavier": "#2f7ed8",
    "xavier_normal": "#123f73",
    "he": "#e4572e",
    "he_normal": "#7d2410",
    "uniform": "#76b041",
    "normal": "#9b5de5",
}
STEPS = 900  # of Adam, unless the number of epochs is given
DRAWS = (("xavier", "xavier_normal"), ("he", "he_normal"))  # uniform and normal
EQUAL = 0.25  # of the distance to the default: two schemes that are closer count as equal
SPLIT = PartitionSpec("data")  # seeds over the devices


@dataclass(frozen=True)
class Options:
    """Compare seven kinds of initial weights."""

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
    resume: bool = False
    """Take what an earlier call with the same options had finished when it was interrupted."""
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
        if (done := finished(scheme, options)) is not None:
            console.print(f"[bold]{title}[/bold] was finished before")
        else:
            console.print(f"Training from [bold]{title}[/bold]")
            done = train(scheme, trainer, task, options)
            keep(scheme, done, options)
        runs[scheme] = done
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


def file_of(scheme: str, options: Options) -> Path:
    """Return where a scheme's finished run is kept."""
    return options.output / f"init_comparison_{options.data}_{scheme}.npz"


def keep(scheme: str, run: Run, options: Options) -> None:
    """Keep a finished run, for a call that goes on; the file is there whole or not at all."""
    options.output.mkdir(parents=True, exist_ok=True)
    path = file_of(scheme, options)
    layers = {f"initial{i}": weights for i, weights in enumerate(run.initial)}
    layers |= {f"final{i}": weights for i, weights in enumerate(run.final)}
    curves = {name: getattr(run, name) for name in Run._fields[2:]}
    half = path.with_suffix(".half.npz")
    np.savez(half, options=said(options), **layers, **curves)
    half.replace(path)


def finished(scheme: str, options: Options) -> Run | None:
    """Return a scheme's run that an earlier call of the same options has finished, if asked for."""
    path = file_of(scheme, options)
    if not options.resume or not path.exists():
        return None
    with np.load(path) as kept:
        if str(kept["options"]) != said(options):
            return None
        parts = [[kept[f"{part}{i}"] for i in range(3)] for part in Run._fields[:2]]
        return Run(*parts, *(kept[name] for name in Run._fields[2:]))


def said(options: Options) -> str:
    """Return what a run depends on, in words."""
    return repr(dataclasses.replace(options, resume=False, cache=True, output=Path()))


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
        caption="differences at the end, seed by seed; in how many seeds they are positive; U - N: "
        "uniform - normal",
        caption_justify="left",
    )
    table.add_column("difference", no_wrap=True)
    for name in ("train loss", "test loss", "test error"):
        table.add_column(name, justify="right", no_wrap=True)
    pairs = [("default", "xavier"), ("default", "he"), ("xavier", "he")]
    for one, other in (*pairs, *DRAWS):
        cells = [
            f"{spread(gap, form)} ({np.sum(gap > 0)}/{len(gap)})"
            for gap, form in zip(gaps(runs[one], runs[other]), (".3f", ".3f", ".1%"), strict=True)
        ]
        is_draw = (one, other) in DRAWS
        table.add_row(f"{one}, U - N" if is_draw else f"{one} - {other}", *cells)
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
        draws_verdict(runs),
    ]


def draws_verdict(runs: dict[str, Run]) -> str:
    """Say whether it matters which distribution the weights are drawn from.

    Two sets of seeds differ by chance. So a difference is held against its own standard error, too.
    """
    shares, errors = [], []
    for uniform, normal in DRAWS:
        for own, to_default in zip(
            gaps(runs[uniform], runs[normal])[:2],
            gaps(runs["default"], runs[uniform])[:2],
            strict=True,
        ):
            shares.append(abs(np.mean(own)) / np.mean(to_default))
            errors.append(abs(np.mean(own)) / (np.std(own, ddof=1) / len(own) ** 0.5))
    equal = all(0 <= share < EQUAL for share in shares)
    return (
        f"Uniform or normal makes no difference: [bold]{'yes' if equal else 'no'}[/bold]. In "
        f"training and test loss they are {shares[0]:.0%} and {shares[1]:.0%} of the distance to "
        f"the default apart for Xavier, {shares[2]:.0%} and {shares[3]:.0%} for He; that is "
        f"{errors[0]:.1f}, {errors[1]:.1f}, {errors[2]:.1f} and {errors[3]:.1f} standard errors "
        "(up to 2.8: chance, with 5 seeds)."
    )


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
    for row, schemes in zip(panels, (runs, ("default", *DRAWS[0], *DRAWS[1])), strict=True):
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
    style = "--" if scheme.endswith("_normal") else "-"
    panel.plot(epochs, values.mean(1), style, color=colour, linewidth=2, label=TITLES[scheme])
    panel.fill_between(epochs, values.min(1), values.max(1), color=colour, alpha=0.2)


if __name__ == "__main__":
    main(tyro.cli(Options))
