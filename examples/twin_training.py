"""Train one ResNet-10 twice, in PyTorch and in jaxaccel, and watch how far the two part.

    python examples/twin_training.py                       # 50 steps, float64 and float32
    python examples/twin_training.py --steps 100 --precisions float64
    python -m jaxaccel aot examples/twin_training.py --topology tpu:v5e:2x2

Both sides are given one integer seed, and nothing else passes between them: each draws its own
initial weights and its own order of images, which must be the same to the bit. The recipe: AdamW,
OneCycle on lr and beta1, clipping by norm, BatchNorm. Every step is compared: loss, gradient norm,
lr, all parameters and running statistics, as 2-norms, relative to PyTorch in float64.

How far may two right programs part? In float64 the twins must stay within 1e-9, tensor by tensor.
In float32 a network amplifies rounding (AdamW's first step is the sign of each gradient, and a
gradient that should be nought has any sign): runs of PyTorch itself leave its float64 run by
percents within 50 steps. So three PyTorch runs in float32, each started one unit in the last place
away, are the yardstick there. The exit status is 1 when jaxaccel leaves three times their band, or
when weights or batches differ at the start.

Expected on two CPU cores: about two minutes; in float64 the twins agree to about 1e-12.
"""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import optax
import torch
import tyro
from flax import nnx
from jax.sharding import Mesh, PartitionSpec
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxaccel as ja

# The twin in PyTorch is in the checkout that this file is in, and not in the wheel.
sys.path.append(str(Path(__file__).resolve().parents[1]))
import torch_ref

Precision = Literal["float64", "float32"]
NumpyTree = dict[str, np.ndarray]

BAND_RATIO = 3.0
FLOAT64_LIMIT = 1e-9


@dataclass(frozen=True)
class Options:
    """What to train, and how long."""

    data: Literal["mnist5k", "fashion_mnist", "mnist", "cifar10"] = "mnist5k"
    """The image set; all but mnist5k are read from --folder."""
    folder: Path | None = None
    """Where the image set's files are."""
    width: int = 16
    """Channels of the first stage; the others have 2, 4 and 8 times as many."""
    steps: int = 50
    """Training steps, the length of the OneCycle."""
    batch_size: int = 64
    """Images per step."""
    max_lr: float = 1e-3
    """The peak of the learning rate."""
    weight_decay: float = 1e-2
    """Decoupled weight decay."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    precisions: tuple[Precision, ...] = ("float64", "float32")
    """The precisions to compare in."""
    seed: int = 0
    """For the initial weights and the order of images on both sides."""
    output: Path = Path("outputs")
    """Folder for the plot."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""


class Distance(NamedTuple):
    """How far a run is from the judge, by step, as relative 2-norms."""

    tensor: np.ndarray
    """Of the tensor that is furthest."""
    weights: np.ndarray
    """Of all weights as one vector."""


class Trace(NamedTuple):
    """What a run leaves behind: its initial weights, and one entry per step."""

    start: NumpyTree
    rows: list[np.ndarray]
    loss: list[float]
    grad_norm: list[float]
    lr: list[float]
    weights: list[NumpyTree]


def main(options: Options) -> int:
    """Run the twins and their yardstick; return the exit status."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console(width=max(100, Console().width))
    images = ja.data.load(options.data, options.folder)
    judge = run_torch(options, images, "float64", "PyTorch float64")
    traces = {
        precision: run_jaxaccel(options, images, precision) for precision in options.precisions
    }
    starts = [same_start(console, *pair, judge) for pair in traces.items()]
    if not all(starts):
        return 1
    distances = {precision: distance(trace, judge) for precision, trace in traces.items()}
    band = yardstick(options, images, judge) if "float32" in traces else None
    for precision, trace in traces.items():
        print_table(console, precision, trace, judge, distances[precision])
    console.print(f"plot: {plot(options, judge, traces, distances, band)}")
    verdicts = [verdict(console, p, found, band) for p, found in distances.items()]
    return 0 if all(verdicts) else 1


def normalized(images: ja.data.ImageSet, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a batch in float64, channels last, and its labels."""
    mean, std = np.array(images.mean), np.array(images.std)
    return (images.train_images[rows] / 255.0 - mean) / std, images.train_labels[rows]


def weights_of(model: torch.nn.Module) -> NumpyTree:
    """Return a copy of a PyTorch model's floating-point parameters and running statistics."""
    return {
        name: tensor.detach().double().numpy().copy()
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point()
    }


def run_torch(
    options: Options,
    images: ja.data.ImageSet,
    precision: Precision,
    title: str,
    move: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Trace:
    """Train in PyTorch, as a PyTorch script does; ``move`` changes the initial weights."""
    dtype, channels = getattr(torch, precision), images.train_images.shape[-1]
    torch.manual_seed(options.seed)
    model = torch_ref.models.resnet10(in_channels=channels, width=options.width)
    trace = Trace(weights_of(model), [], [], [], [], [])
    if move is not None:
        moved = {name: torch.tensor(move(array)) for name, array in trace.start.items()}
        model.load_state_dict(moved, strict=False)
    model.to(dtype)
    loader = torch.utils.data.DataLoader(
        range(len(images.train_labels)), options.batch_size, shuffle=True, drop_last=True
    )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=options.max_lr, weight_decay=options.weight_decay
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=options.max_lr, total_steps=options.steps
    )
    epochs = itertools.chain.from_iterable(loader for _ in itertools.count())
    for rows in track(itertools.islice(epochs, options.steps), title, options.steps):
        pixels, labels = normalized(images, rows.numpy())
        inputs = torch.tensor(pixels).to(dtype).permute(0, 3, 1, 2)
        loss = torch.nn.functional.cross_entropy(model(inputs), torch.tensor(labels).long())
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.max_grad_norm)
        trace.lr.append(scheduler.get_last_lr()[0])
        optimizer.step()
        if len(trace.lr) < options.steps:
            scheduler.step()
        trace.rows.append(rows.numpy())
        trace.loss.append(loss.item())
        trace.grad_norm.append(norm.item())
        trace.weights.append(weights_of(model))
    return trace


def run_jaxaccel(options: Options, images: ja.data.ImageSet, precision: Precision) -> Trace:
    """Train in jaxaccel; in float32 with JAX's 64-bit mode off, as users have it."""
    with jax.enable_x64(precision == "float64"):
        generator = ja.random.manual_seed(options.seed)
        # As in PyTorch, weights are drawn in float32; in float64 they would be other numbers.
        model = ja.models.resnet10(
            in_channels=images.train_images.shape[-1], width=options.width, rngs=generator
        )
        trace = Trace(floats_of(model), [], [], [], [], [])
        apply, *trees = ja.training.split_model(model)
        params, model_state = jax.tree.map(functools.partial(in_precision, precision), trees)
        lr = ja.schedules.one_cycle_lr(max_lr=options.max_lr, total_steps=options.steps)
        step, tx = make_step(apply, lr, options)
        state = ja.training.train_state(params, tx, model_state)
        epochs = itertools.chain.from_iterable(
            ja.data.data_loader_order(
                range(len(images.train_labels)), options.batch_size, shuffle=True, drop_last=True,
                default_generator=generator,
            )
            for _ in itertools.count()
        )  # fmt: skip
        batches = itertools.islice(epochs, options.steps)
        for rows, _ in track(batches, f"jaxaccel {precision}", options.steps):
            pixels, labels = normalized(images, rows)
            batch = jnp.asarray(pixels, precision), jnp.asarray(labels)
            state, metrics = step(state, batch)
            ja.training.merge(model, state.params, state.model_state)
            trace.lr.append(lr(len(trace.rows)))
            trace.rows.append(rows)
            trace.loss.append(float(metrics["loss"]))
            trace.grad_norm.append(float(metrics["grad_norm"]))
            trace.weights.append(floats_of(model))
        return trace


def make_step(apply: Callable[..., Any], lr: Any, options: Options) -> tuple[Any, Any]:
    """Return jaxaccel's training step, and its optimizer."""

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        pixels, labels = batch
        logits, model_state = apply(params, model_state, pixels, training=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (model_state, {})

    beta1 = ja.schedules.one_cycle_momentum(total_steps=options.steps)
    tx = ja.optimizers.adamw(lr, betas=(beta1, 0.999), weight_decay=options.weight_decay)
    gradient_fn = ja.training.gradients(loss_fn)
    return ja.training.train_step(gradient_fn, tx, max_grad_norm=options.max_grad_norm), tx


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return jaxaccel's step in float32, and the shapes that it takes, for any machine."""
    options = Options(batch_size=64 * mesh.size)
    model = ja.models.resnet10(in_channels=1, width=options.width, rngs=nnx.Rngs(0))
    apply, params, model_state = ja.training.split_model(model)
    lr = ja.schedules.one_cycle_lr(max_lr=options.max_lr, total_steps=options.steps)
    step, tx = make_step(apply, lr, options)
    state = jax.eval_shape(lambda: ja.training.train_state(params, tx, model_state))
    pixels, labels = (
        jax.ShapeDtypeStruct((options.batch_size, *shape), dtype, sharding=PartitionSpec("data"))
        for shape, dtype in (((28, 28, 1), jnp.float32), ((), jnp.uint8))
    )
    return step, state, (pixels, labels)


def in_precision(precision: Precision, leaf: jax.Array) -> jax.Array:
    """Return a floating-point array in another precision, and any other as it is."""
    return leaf.astype(precision) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def floats_of(model: nnx.Module) -> NumpyTree:
    """Return jaxaccel's floating-point parameters and running statistics under PyTorch's names."""
    arrays = ja.nn.state_dict(model).items()
    return {
        name: array.astype(np.float64)
        for name, array in arrays
        if np.issubdtype(array.dtype, np.floating)
    }


def same_start(console: Console, precision: Precision, run: Trace, judge: Trace) -> bool:
    """Say whether both sides drew the same weights and rows from the seed, to the bit."""
    weights = run.start.keys() == judge.start.keys() and all(
        np.array_equal(run.start[name], judge.start[name]) for name in judge.start
    )
    rows = np.array_equal(run.rows, judge.rows)
    size, count = sum(array.size for array in judge.start.values()), np.size(judge.rows)
    bits, order = "bit-equal" if weights else "NOT EQUAL", "the same" if rows else "NOT THE SAME"
    console.print(f"{precision}: {size:,} initial weights {bits}, {count:,} rows {order}")
    return weights and rows


def yardstick(options: Options, images: ja.data.ImageSet, judge: Trace) -> np.ndarray:
    """Return how far three PyTorch-float32 runs, started one ulp away, are from the judge."""
    move = functools.partial(one_ulp_away, rng=np.random.default_rng(options.seed))
    runs = []
    for run in range(3):
        title = f"PyTorch float32, one ulp away, {run + 1} of 3"
        runs.append(distance(run_torch(options, images, "float32", title, move), judge).weights)
    # The furthest so far: two runs that part can come close again by chance.
    return np.maximum.accumulate(np.max(runs, axis=0))


def one_ulp_away(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the array in float32 with every entry moved by one ulp, up or down."""
    towards = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
    return np.nextafter(array.astype(np.float32), towards).astype(np.float64)


def distance(run: Trace, judge: Trace) -> Distance:
    """Return how far a run is from the judge."""
    tensor, weights = [], []
    for found, expected in zip(run.weights, judge.weights, strict=True):
        errors = np.array([np.linalg.norm(found[name] - expected[name]) for name in expected])
        norms = np.array([np.linalg.norm(array) for array in expected.values()])
        tensor.append(np.max(errors / np.maximum(norms, np.finfo(float).tiny)))
        weights.append(np.linalg.norm(errors) / np.linalg.norm(norms))
    return Distance(np.array(tensor), np.array(weights))


def print_table(
    console: Console, precision: Precision, run: Trace, judge: Trace, found: Distance
) -> None:
    """Print the twins side by side, at about a dozen steps."""
    table = Table(title=f"jaxaccel in {precision} (left) beside PyTorch in float64 (right)")
    for column in ("step", "lr", "loss", "gradient norm", "furthest tensor", "all weights"):
        table.add_column(column, justify="right", no_wrap=True)
    count = len(run.loss)
    for k in sorted({*range(0, count, max(1, count // 12)), count - 1}):
        table.add_row(
            str(k + 1),
            f"{run.lr[k]:.2e} {judge.lr[k]:.2e}",
            f"{run.loss[k]:.4f} {judge.loss[k]:.4f}",
            f"{run.grad_norm[k]:.4f} {judge.grad_norm[k]:.4f}",
            f"{found.tensor[k]:.1e}",
            f"{found.weights[k]:.1e}",
        )
    console.print(table)


def plot(
    options: Options,
    judge: Trace,
    traces: dict[Precision, Trace],
    distances: dict[Precision, Distance],
    band: np.ndarray | None,
) -> Path:
    """Save the curves: loss, gradient norm and lr of both, and how far they part."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7), layout="constrained")
    steps = np.arange(1, options.steps + 1)
    titles = {"loss": "loss", "grad_norm": "gradient norm", "lr": "learning rate"}
    for axis, (field, title) in zip(axes.flat, titles.items(), strict=False):
        axis.plot(steps, getattr(judge, field), color="0.75", lw=4, label="PyTorch float64")
        for precision, trace in traces.items():
            axis.plot(steps, getattr(trace, field), lw=1.2, label=f"jaxaccel {precision}")
        axis.set(title=title, xlabel="step")
        axis.legend()
    axis = axes.flat[3]
    if band is not None:
        axis.fill_between(
            steps, band, BAND_RATIO * band, color="0.85", lw=0,
            label=f"PyTorch float32, one ulp away, to {BAND_RATIO:g} times",
        )  # fmt: skip
    for precision, found in distances.items():
        axis.plot(steps, found.weights, lw=1.2, label=f"jaxaccel {precision}")
    axis.set(yscale="log", xlabel="step", title="relative distance from PyTorch float64")
    axis.legend()
    figure.suptitle(f"ResNet-10, width {options.width}, {options.data}: AdamW + OneCycle")
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "twin_training.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path


def verdict(
    console: Console, precision: Precision, found: Distance, band: np.ndarray | None
) -> bool:
    """Say whether jaxaccel stayed within its limit, and by how much."""
    if precision == "float64":
        worst = float(np.max(found.tensor))
        within = worst <= FLOAT64_LIMIT
        text = f"the furthest tensor came to {worst:.1e} ({FLOAT64_LIMIT:.0e} allowed)"
    else:
        worst = float(np.max(found.weights / band))
        within = worst <= BAND_RATIO
        text = f"at most {worst:.2f} times the yardstick ({BAND_RATIO:g} allowed)"
    console.print(f"{precision}: {'within' if within else 'OUTSIDE'} the limit: {text}")
    return within


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
