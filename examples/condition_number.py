"""Measure how well losses are conditioned: with and without BatchNorm, and behind a preconditioner.

    python examples/condition_number.py               # real digits, embedded: no download
    python examples/condition_number.py --resume      # go on where a call was interrupted

The slower gradient descent is, the further the largest curvature of a loss is above the others: the
condition number. BatchNorm and preconditioning are said to make it small. Here it is measured, with
all eigenvalues of the Hessian in float64 (``ja.monitoring.condition_number``, as many steps of
Lanczos' method as there are parameters), on 1,000 digits of 7 x 7 pixels:

- One layer, softmax regression, is convex: the condition number is a number. "BatchNorm" is on the
  pixels.
- Three layers with ReLU, BatchNorm behind the first two, after 200 steps of Adam. That loss bends
  down in some directions, so its condition number is infinite. What can be compared is the largest
  eigenvalue over the median of all sizes.

Both losses have a weight decay of 1e-3, so that no direction is flat for nothing. The
preconditioner is that of diagonal Newton, 1 / (|h| + damping), with the exact diagonal h.

The script prints a table and what it says of the claims, and draws the eigenvalues into
``outputs/``. ``--smoke`` only sees that everything runs.

Expected from the defaults, in some minutes on one core, the means of three seeds:

    net           changed by          smallest  largest  number  over median
    One layer     nothing                0.001     0.27     267          238
    One layer     Newton                 0.016     15.4     933           31
    One layer     BatchNorm              0.001     0.29     287           59
    One layer     BatchNorm + Newton     0.018     13.7     765           28
    Three layers  nothing               -0.012     12.9     inf       10,800
    Three layers  Newton                -0.208      106     inf          542
    Three layers  BatchNorm             -0.025     14.5     inf        2,330
    Three layers  BatchNorm + Newton    -0.187     28.7     inf           85

Against the median of all curvatures the largest falls four times with BatchNorm, eight to twenty
times behind the preconditioner, and with both most of all, in every seed. The claim about the
condition number itself does not hold: in the one layer both raise it. The smallest eigenvalue, of
pixels that are always black, is the weight decay's, and a diagonal cannot know how pixels go
together. BatchNorm leaves the largest eigenvalue where it was: it lifts the others.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

NETS = {"one": "One layer", "three": "Three layers"}
NORMS = {"none": "none", "batch": "BatchNorm"}
PRECONDITIONERS = {"none": "none", "newton": "Newton"}
COLOURS = {
    ("none", "none"): "#8a8f98",
    ("batch", "none"): "#2f7ed8",
    ("none", "newton"): "#e4572e",
    ("batch", "newton"): "#76b041",
}
DECAY = 1e-3
PIXELS = 7
"""Of a side, means of 4 x 4."""


@dataclass(frozen=True)
class Options:
    """Measure the condition of two losses, each with and without BatchNorm and preconditioning."""

    hidden: int = 16
    """The width of the hidden layers."""
    images: int = 1000
    """Of the training set."""
    training_steps: int = 200
    """Of Adam, before the Hessian is taken."""
    lr: float = 1e-2
    """The learning rate of Adam."""
    damping: float = 1e-3
    """Of the preconditioner."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the weights."""
    output: Path = Path("outputs")
    """The folder for the plot."""
    resume: bool = False
    """Take what an earlier call with the same options had finished when it was interrupted."""
    smoke: bool = False
    """Only see that everything runs: one seed, a small net, few images."""


class Case(NamedTuple):
    """One loss behind one preconditioner."""

    net: str
    norm: str
    preconditioner: str


class Measured(NamedTuple):
    """What is measured of a case, a row for each seed."""

    eigenvalues: np.ndarray
    """In ascending order."""

    @property
    def largest(self) -> np.ndarray:
        """The largest eigenvalue."""
        return self.eigenvalues[:, -1]

    @property
    def smallest(self) -> np.ndarray:
        """The smallest eigenvalue."""
        return self.eigenvalues[:, 0]

    @property
    def number(self) -> np.ndarray:
        """The condition number, infinite where the loss is not convex."""
        ratio = self.largest / np.where(self.smallest > 0, self.smallest, 1)
        return np.where(self.smallest > 0, ratio, np.inf)

    @property
    def spread(self) -> np.ndarray:
        """The largest over the median of the sizes."""
        return self.largest / np.median(np.abs(self.eigenvalues), axis=1)


def main(options: Options) -> None:
    """Measure all cases, and report."""
    jax.config.update("jax_enable_x64", True)
    console = Console()
    if options.smoke:
        options = dataclasses.replace(
            options, hidden=3, images=50, training_steps=2, seeds=options.seeds[:1]
        )
    batch = digits(options.images)
    measured: dict[Case, Measured] = {}
    for net in NETS:
        for norm in NORMS:
            cases = [Case(net, norm, each) for each in PRECONDITIONERS]
            console.print(f"[bold]{NETS[net]}[/bold], normalization: {NORMS[norm]}")
            for case in cases:
                measured[case] = measure(case, batch, options)
    console.print(results_table(measured))
    if not options.smoke:
        for line in verdict(measured):
            console.print(line)
    path = options.output / "condition_number.png"
    draw(measured).savefig(path, dpi=130)
    console.print(f"Eigenvalues: {path}")


# ----------------------------------------------------------------------------------- the losses


class Net(nnx.Module):
    """Linear layers with ReLU between, BatchNorm in front of one or behind all but the last."""

    def __init__(self, net: str, norm: str, hidden: int, rngs: ja.random.Generator):
        size, is_one = PIXELS**2, net == "one"

        def make(features: int) -> nnx.Module:
            # A scale times a weight is not convex, so the one layer does without.
            has_norm = norm == "batch"
            return ja.nn.BatchNorm1d(features, affine=not is_one) if has_norm else ja.nn.Identity()

        features = (size, 10) if is_one else (size, hidden, hidden, 10)
        self.first = make(size) if is_one else ja.nn.Identity()
        pairs = list(itertools.pairwise(features))
        self.layers = nnx.List([ja.nn.Linear(*pair, rngs=rngs) for pair in pairs])
        self.norms = nnx.List([make(after) for _, after in pairs[:-1]])

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the logits of rows of pixels."""
        x = self.first(x)
        for layer, norm in zip(list(self.layers)[:-1], self.norms, strict=True):
            x = jax.nn.relu(norm(layer(x)))
        return self.layers[-1](x)


def digits(count: int) -> tuple[jax.Array, jax.Array]:
    """Return small digits, pixels from 0 to 1, and their labels."""
    images = ja.data.load("mnist5k")
    pixels = images.train_images[:count].reshape(count, PIXELS, 4, PIXELS, 4).mean((2, 4)) / 255
    return jnp.asarray(pixels.reshape(count, -1)), jnp.asarray(images.train_labels[:count])


def in_double(leaf: jax.Array) -> jax.Array:
    """Return a floating-point array in float64, others as they are."""
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def trained_loss(case: Case, seed: int, batch: Any, options: Options) -> tuple[Callable, Any]:
    """Return a loss of the parameters on all images, and the parameters after some steps."""
    model = Net(case.net, case.norm, options.hidden, ja.random.manual_seed(seed))
    apply, params, statistics = ja.training.split_model(model)
    params, statistics = jax.tree.map(in_double, (params, statistics))
    pixels, labels = batch

    def loss(params: Any) -> jax.Array:
        logits, _ = apply(params, statistics, pixels, training=True)
        squares = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))
        return ja.functional.cross_entropy(logits, labels) + DECAY / 2 * squares

    tx = ja.optimizers.adam(lr=options.lr)

    @jax.jit
    def train(params: Any) -> Any:
        def step(carry: Any, _: Any) -> Any:
            params, state = carry
            updates, state = tx.update(jax.grad(loss)(params), state, params)
            return (jax.tree.map(jnp.add, params, updates), state), None

        return jax.lax.scan(step, (params, tx.init(params)), None, options.training_steps)[0][0]

    return loss, train(params)


# ------------------------------------------------------------------------------------ measuring


def measure(case: Case, batch: Any, options: Options) -> Measured:
    """Return all eigenvalues of a case, kept for a call that goes on."""
    said = repr(dataclasses.replace(options, resume=False, output=Path()))
    path = options.output / f"condition_number_{'_'.join(case)}.npz"
    if options.resume and path.exists():
        with np.load(path) as kept:
            if str(kept["options"]) == said:
                return Measured(kept["eigenvalues"])
    found = []
    for seed in options.seeds:
        loss, params = trained_loss(case, seed, batch, options)
        preconditioner = None
        if case.preconditioner == "newton":
            diagonal = ja.optimizers.hessian_diagonal(loss, params, batch_size=64)
            preconditioner = jax.tree.map(lambda h: 1 / (jnp.abs(h) + options.damping), diagonal)
        size = sum(leaf.size for leaf in jax.tree.leaves(params))
        of_seed = ja.monitoring.condition_number(
            loss, params, preconditioner=preconditioner, steps=size
        )
        found.append(of_seed.eigenvalues)
    options.output.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half.npz")
    np.savez(half, options=said, eigenvalues=np.stack(found))
    half.replace(path)  # there whole or not at all
    return Measured(np.stack(found))


# ---------------------------------------------------------------------------------- the report


def results_table(measured: dict[Case, Measured]) -> Table:
    """Put the cases side by side: the means of the seeds."""
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="means of the seeds; the last column: largest / median size",
        caption_justify="left",
    )
    for name in ("net", "changed by"):
        table.add_column(name, no_wrap=True)
    for name in ("smallest", "largest", "number", "over median"):
        table.add_column(name, justify="right", no_wrap=True)
    for case, found in measured.items():
        table.add_row(
            NETS[case.net],
            named(case),
            *(
                f"{np.mean(values):.3g}"
                for values in (found.smallest, found.largest, found.number, found.spread)
            ),
        )
    return table


def named(case: Case) -> str:
    """Return what is done to a loss, in words."""
    names = [NORMS[case.norm], PRECONDITIONERS[case.preconditioner]]
    return " + ".join(name for name in names if name != "none") or "nothing"


def in_range(values: np.ndarray) -> str:
    """Write the lowest and the highest number."""
    low, high = f"{values.min():.2g}", f"{values.max():.2g}"
    return low if low == high else f"{low}..{high}"


def verdict(measured: dict[Case, Measured]) -> list[str]:
    """Say what the numbers make of the two claims: in how many seeds it is smaller."""
    lines = []
    changes = (
        ("BatchNorm", Case("", "batch", "none")),
        ("preconditioning", Case("", "none", "newton")),
        ("both", Case("", "batch", "newton")),
    )
    measures = {"number": "the condition number", "spread": "largest over median"}
    for net, title in NETS.items():
        # Without convexity the number is infinite, and says nothing of what has changed.
        for word in ("number", "spread") if net == "one" else ("spread",):
            before = getattr(measured[Case(net, "none", "none")], word)
            for name, case in changes:
                after = getattr(measured[case._replace(net=net)], word)
                better = int(np.sum(after < before))
                sign = "yes" if better == len(before) else "no" if better == 0 else "not always"
                lines.append(
                    f"{title}, {measures[word]}: better by {name}? [bold]{sign}[/bold], "
                    f"{in_range(before / after)} times smaller."
                )
    return lines


def draw(measured: dict[Case, Measured]) -> Figure:
    """Draw the sizes of the eigenvalues over their largest, in descending order."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    figure.suptitle("Eigenvalues of the Hessian over the largest", fontsize=14, fontweight="bold")
    panels = figure.subplots(1, len(NETS), sharey=True)
    for panel, net in zip(panels, NETS, strict=True):
        for case, found in measured.items():
            if case.net == net:
                draw_case(panel, case, found)
        panel.set_title(NETS[net])
        panel.set_xlabel("share of the eigenvalues")
        panel.set_yscale("log")
        panel.set_ylim(1e-6, 2)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


def draw_case(panel: Any, case: Case, found: Measured) -> None:
    """Draw the first seed's eigenvalues, those of the others fainter."""
    for index, values in enumerate(found.eigenvalues):
        sizes = np.sort(np.abs(values))[::-1]
        panel.plot(
            np.linspace(0, 1, len(sizes)),
            sizes / sizes[0],
            color=COLOURS[case.norm, case.preconditioner],
            linewidth=2 if index == 0 else 1,
            alpha=1 if index == 0 else 0.4,
            label=named(case) if index == 0 else None,
        )


if __name__ == "__main__":
    main(tyro.cli(Options))
