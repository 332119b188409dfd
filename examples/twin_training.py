"""Train one ResNet-10 twice, in PyTorch and in jaxaccel, and watch how far the two part.

    python examples/twin_training.py                       # 50 steps, float64 and float32
    python examples/twin_training.py --steps 100 --precisions float64
    python examples/twin_training.py --resume              # go on where a call was interrupted
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

import dataclasses
import functools
import itertools
import shutil
import sys
import zlib
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
    """Folder for the plot, and for finished runs while others are not."""
    cache: bool = True
    """Keep compiled programs on disk for the next run (``jaxaccel.aot.compilation_cache``)."""
    resume: bool = False
    """Take the runs that an earlier call with the same options had finished."""


class Distance(NamedTuple):
    """How far a run is from the judge, by step, as relative 2-norms."""

    tensor: np.ndarray
    """Of the tensor that is furthest."""
    weights: np.ndarray
    """Of all weights as one vector."""


class Trace(NamedTuple):
    """What a run leaves behind: its initial weights, and arrays with one entry per step."""

    start: NumpyTree
    rows: np.ndarray
    loss: np.ndarray
    grad_norm: np.ndarray
    lr: np.ndarray
    weights: NumpyTree


def main(options: Options) -> int:
    """Run the twins and their yardstick; return the exit status."""
    if options.cache:
        ja.aot.compilation_cache()
    console = Console(width=max(100, Console().width))
    images = ja.data.load(options.data, options.folder)
    folder, like = folder_of(options), blank_trace(options, images)
    run = functools.partial(run_torch, options, images, "float64", "PyTorch float64")
    judge = kept(folder / "judge", run, like)
    traces = {
        each: kept(folder / each, functools.partial(run_jaxaccel, options, images, each), like)
        for each in options.precisions
    }
    starts = [same_start(console, *pair, judge) for pair in traces.items()]
    if not all(starts):
        return 1
    distances = {precision: distance(trace, judge) for precision, trace in traces.items()}
    measure = functools.partial(yardstick, options, images, judge)
    band = kept(folder / "band", measure, like.loss) if "float32" in traces else None
    for precision, trace in traces.items():
        print_table(console, precision, trace, judge, distances[precision])
    console.print(f"plot: {plot(options, judge, traces, distances, band)}")
    shutil.rmtree(folder)  # all weights of every step, and nothing is left to go on with
    verdicts = [verdict(console, p, found, band) for p, found in distances.items()]
    return 0 if all(verdicts) else 1


def kept(folder: Path, run: Callable[[], Any], like: Any) -> Any:
    """Return what a run has found: that of an earlier call, or a new one's, which is saved."""
    if ja.training.saved_steps(folder):
        return ja.training.restore(folder, like).tree
    found = run()
    ja.training.save(folder, found, step=0)
    return found


def folder_of(options: Options) -> Path:
    """Return where runs of these options are saved; clear it, unless they are to be taken."""
    said = repr(dataclasses.replace(options, resume=False))
    folder = options.output / f"twin_training_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


def blank_trace(options: Options, images: ja.data.ImageSet) -> Trace:
    """Return a trace of the shapes that every run's has."""
    channels, steps = images.train_images.shape[-1], options.steps
    start = weights_of(torch_ref.models.resnet10(in_channels=channels, width=options.width))
    rows = np.zeros((steps, options.batch_size), np.int64)
    weights = {name: np.zeros((steps, *array.shape)) for name, array in start.items()}
    return Trace(start, rows, *np.zeros((3, steps)), weights)


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
    start, steps = weights_of(model), []
    if move is not None:
        moved = {name: torch.tensor(move(array)) for name, array in start.items()}
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
        lr = scheduler.get_last_lr()[0]
        optimizer.step()
        steps.append((rows.numpy(), loss.item(), norm.item(), lr, weights_of(model)))
        if len(steps) < options.steps:
            scheduler.step()
    return stacked(start, steps)


def run_jaxaccel(options: Options, images: ja.data.ImageSet, precision: Precision) -> Trace:
    """Train in jaxaccel; in float32 with JAX's 64-bit mode off, as users have it."""
    with jax.enable_x64(precision == "float64"):
        generator = ja.random.manual_seed(options.seed)
        # As in PyTorch, weights are drawn in float32; in float64 they would be other numbers.
        model = ja.models.resnet10(
            in_channels=images.train_images.shape[-1], width=options.width, rngs=generator
        )
        start, steps = floats_of(model), []
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
            loss, norm = float(metrics["loss"]), float(metrics["grad_norm"])
            steps.append((np.asarray(rows), loss, norm, lr(len(steps)), floats_of(model)))
        return stacked(start, steps)


def stacked(start: NumpyTree, steps: list[Any]) -> Trace:
    """Put what was seen of each step together."""
    return Trace(start, *jax.tree.map(lambda *leaves: np.stack(leaves), *steps))


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
    error = {name: run.weights[name] - array for name, array in judge.weights.items()}
    errors, norms = norms_of(error), norms_of(judge.weights)
    tensor = np.max(errors / np.maximum(norms, np.finfo(float).tiny), axis=0)
    return Distance(tensor, np.linalg.norm(errors, axis=0) / np.linalg.norm(norms, axis=0))


def norms_of(weights: NumpyTree) -> np.ndarray:
    """Return the norm of each tensor at each step, (tensors, steps)."""
    flat = [array.reshape(len(array), -1) for array in weights.values()]
    return np.stack([np.linalg.norm(rows, axis=1) for rows in flat])


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
