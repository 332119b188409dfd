"""Compare ways to run one training step: operation by operation, compiled, compiled ahead of time.

    python examples/compile_comparison.py                 # real digits, embedded: no download
    python examples/compile_comparison.py --data cifar10 --folder ~/cifar
    python examples/compile_comparison.py --torch-modes default max-autotune reduce-overhead
    python examples/compile_comparison.py --resume        # keep what a call had measured

A small convolutional network (two convolutions, two linear layers), Adam at 1e-3, batches of 128,
as in the usual exercise for ``torch.compile``. All contenders start from the same weights, which
are PyTorch's of this seed, and see the same batches, so that the last column, the loss at the end
of the first epoch, is the same for all of them. (Later it is not: training amplifies rounding.)

- One by one: every operation is a program of its own, as PyTorch runs them by itself.
- Compiled: ``training.train_step``, one program that overwrites its state; and without that
  (``donate=False``), which keeps both states in memory.
- Several steps a call (``--steps-a-call 10``): a ``lax.scan`` over the step, so that Python is
  asked once for all of them. For accelerators: in a loop, XLA's convolutions for CPUs are ten times
  slower.
- PyTorch, eager and by ``torch.compile`` (needs the extra ``twins``, and a C++ compiler).

Then a second table: how long the first step of a new process takes, compiled there, found in the
folder of ``aot.compilation_cache``, and loaded as a finished executable, which is not even traced.

Expected on 2 cores without an accelerator, in about a minute:

    contender               compile      step   epoch  / first  / eager    loss
    jaxaccel, one by one     8.26 s  120.1 ms  3.72 s     1.00     3.49  0.3006
    jaxaccel, not donated    1.03 s   68.5 ms  2.12 s     0.57     1.99  0.3006
    jaxaccel, compiled       1.09 s   70.0 ms  2.17 s     0.58     2.04  0.3006
    PyTorch, eager           0.03 s   34.4 ms  1.07 s     0.29     1.00  0.3006
    torch.compile, default  13.92 s   73.3 ms  2.27 s     0.61     2.13  0.3006

    program                      first step
    jaxaccel, compiled               1.18 s
    jaxaccel, cache empty            1.31 s
    jaxaccel, cache filled           0.34 s
    jaxaccel, executable loaded      0.15 s
    PyTorch, eager                   0.07 s
    torch.compile, cache empty      14.27 s
    torch.compile, cache filled      2.13 s

Compiling brings 1.7 here. PyTorch's eager convolutions are faster than XLA's on a CPU, and than
those of its own compiler. ``--smoke`` only sees that everything runs.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
import optax
import tyro
from jax.sharding import Mesh, PartitionSpec
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

TorchMode = Literal["default", "max-autotune", "reduce-overhead"]
Batch = tuple[np.ndarray, np.ndarray]

ONE_BY_ONE, COMPILED, EAGER = "jaxaccel, one by one", "jaxaccel, compiled", "PyTorch, eager"
SMOKE_STEPS = 4
NO_TORCH_CACHE = "TORCHINDUCTOR_FORCE_DISABLE_CACHES"


@dataclass(frozen=True)
class Options:
    """Compare ways to run one training step."""

    data: Literal["mnist5k", "mnist", "fashion_mnist", "cifar10"] = "mnist5k"
    """The image set; mnist5k is embedded."""
    folder: Path | None = None
    """Where the set's files are, if not where a package or a download puts them."""
    download: bool = False
    """Fetch missing files."""
    batch_size: int = 128
    """Images in a batch."""
    epochs: int = 3
    """Epochs, all timed; of their seconds the median counts."""
    lr: float = 1e-3
    """The learning rate of Adam."""
    steps_a_call: int = 1
    """Also train so many steps in each call, if more than one."""
    torch_modes: tuple[TorchMode, ...] = ("default",)
    """Modes of ``torch.compile``."""
    seed: int = 0
    """Of the weights and of the order of the images."""
    output: Path = Path("outputs")
    """The folder for the plot and the times."""
    resume: bool = False
    """Keep what an earlier call with the same options had measured when it was interrupted."""
    smoke: bool = False
    """Only see that everything runs: a few steps a contender, no ``torch.compile``."""


class Task(NamedTuple):
    """What all contenders share."""

    in_channels: int
    image_size: int
    classes: int
    lr: float
    seed: int


class Contender(NamedTuple):
    """A way to train: a function that trains on a list of batches and returns the last loss."""

    name: str
    train: Callable[[list[Batch]], float]
    steps_a_call: int = 1


class Timing(NamedTuple):
    """What was measured of a contender."""

    name: str
    compile: float
    epoch: float
    steps: int
    loss: float

    @property
    def step(self) -> float:
        """Return the seconds of a step."""
        return self.epoch / self.steps


def main(options: Options) -> None:
    """Time all contenders in turns, then the first step of new processes, and report."""
    console = Console()
    os.environ[NO_TORCH_CACHE] = "1"  # what an earlier run has compiled counts for nothing
    task, epochs = set_up(options)
    folder = folder_of(options)
    rows = kept(
        folder / "steps.json",
        lambda: time_in_turns(contenders(task, options, console), epochs),
    )
    timings = [Timing(*row) for row in rows]
    console.print(steps_table(timings, options))
    firsts = kept(
        folder / "first_steps.json",
        lambda: first_steps(task, epochs[0][0], options, console),
    )
    console.print(first_steps_table(firsts))
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"compile_comparison_{options.data}.png"
    draw(timings, firsts).savefig(path, dpi=130)
    console.print(f"Picture: {path}")


def set_up(options: Options) -> tuple[Task, list[list[Batch]]]:
    """Load the data; return what is shared, and the batches of each epoch, normalized."""
    try:
        images = ja.data.load(options.data, options.folder, download=options.download)
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    size, channels = images.train_images.shape[2:]
    task = Task(channels, size, len(images.classes), options.lr, options.seed)
    mean, std = np.array(images.mean, np.float32), np.array(images.std, np.float32)
    pixels = (images.train_images.astype(np.float32) / np.float32(255) - mean) / std

    def batches(epoch: int) -> Iterator[Batch]:
        order = ja.data.epoch_order(len(pixels), options.seed, epoch)
        found = ja.data.batches(
            pixels, images.train_labels, options.batch_size, order, drop_last=True
        )
        return itertools.islice(found, steps)

    # Whole calls of the contender that takes several steps in each.
    most = SMOKE_STEPS if options.smoke else len(pixels) // options.batch_size
    steps = most // options.steps_a_call * options.steps_a_call
    if not steps:
        raise SystemExit(f"there are {most} batches, which is less than one call")
    return task, [list(batches(epoch)) for epoch in range(1 if options.smoke else options.epochs)]


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
    folder = options.output / f"compile_comparison_{zlib.crc32(said.encode()):08x}"
    if not options.resume:
        shutil.rmtree(folder, ignore_errors=True)
    return folder


# ---------------------------------------------------------------------------------- contenders


def contenders(task: Task, options: Options, console: Console) -> list[Contender]:
    """Return all ways that this machine has."""
    gradient_fn, tx, state = jax_recipe(task)
    found = [
        Contender(ONE_BY_ONE, stepping(one_by_one(gradient_fn, tx), state())),
        Contender(
            "jaxaccel, not donated",
            stepping(ja.training.train_step(gradient_fn, tx, donate=False), state()),
        ),
        Contender(COMPILED, stepping(ja.training.train_step(gradient_fn, tx), state())),
    ]
    if options.steps_a_call > 1:
        train = scanning(ja.training.train_step(gradient_fn, tx), state(), options.steps_a_call)
        name = f"{COMPILED}, {options.steps_a_call} a call"
        found.append(Contender(name, train, options.steps_a_call))
    if find_spec("torch") is None:
        console.print('PyTorch is not installed, so its rows are missing: pip install ".[twins]"')
        return found
    found.append(Contender(EAGER, torch_training(task, None)))
    if not options.smoke and has_cxx(console):
        found += [
            Contender(torch_name(mode), torch_training(task, mode)) for mode in options.torch_modes
        ]
    return found


def jax_recipe(task: Task) -> tuple[Any, optax.GradientTransformation, Callable[[], Any]]:
    """Return the gradient function, the optimizer, and a function that makes the first state."""
    model = ja.models.simple_cnn(
        task.classes, task.in_channels, task.image_size, rngs=ja.random.manual_seed(task.seed)
    )
    apply, params, model_state = ja.training.split_model(model)
    on_host = jax.device_get(params)  # every contender starts from it, and may overwrite its own
    tx = ja.optimizers.adam(lr=task.lr)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        inputs, labels = batch
        logits, model_state = apply(params, model_state, inputs, training=True)
        return ja.functional.cross_entropy(logits, labels), (model_state, {})

    def state() -> ja.training.TrainState:
        return ja.training.train_state(on_host, tx, model_state)

    return ja.training.gradients(loss_fn), tx, state


def step_and_shapes(mesh: Mesh) -> tuple[Any, ...]:
    """Return the compiled step and the shapes that it takes, for any machine."""
    options = Options()
    gradient_fn, tx, start = jax_recipe(Task(1, 28, 10, options.lr, options.seed))
    rows = options.batch_size * mesh.size
    batch = tuple(
        jax.ShapeDtypeStruct((rows, *shape), dtype, sharding=PartitionSpec("data"))
        for shape, dtype in (((28, 28, 1), np.float32), ((), np.uint8))
    )
    return ja.training.train_step(gradient_fn, tx), jax.eval_shape(start), batch


def one_by_one(gradient_fn: Any, tx: optax.GradientTransformation) -> Callable[..., Any]:
    """Return a step that is not compiled as a whole: every operation is a program of its own."""

    def step(state: ja.training.TrainState, batch: Any) -> Any:
        grads, model_state, metrics = gradient_fn(state.params, state.model_state, batch)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, model_state=model_state, opt_state=opt_state), metrics

    return step


def stepping(step: Callable[..., Any], state: Any) -> Callable[[list[Batch]], float]:
    """Return a function that trains step by step, and waits for the device at the end."""

    def train(batches: list[Batch]) -> float:
        nonlocal state
        metrics: dict[str, Any] = {}
        for batch in batches:
            state, metrics = step(state, batch)
        return float(jax.block_until_ready((state, metrics))[1]["loss"])

    return train


def scanning(
    step: Callable[..., Any], state: Any, steps_a_call: int
) -> Callable[[list[Batch]], float]:
    """Return a function that trains several steps a call."""
    several = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)

    def train(batches: list[Batch]) -> float:
        nonlocal state
        metrics: dict[str, Any] = {}
        for first in range(0, len(batches), steps_a_call):
            part = batches[first : first + steps_a_call]
            state, metrics = several(state, jax.tree.map(lambda *rows: np.stack(rows), *part))
        return float(jax.block_until_ready((state, metrics))[1]["loss"][-1])

    return train


def torch_training(task: Task, mode: TorchMode | None) -> Callable[[list[Batch]], float]:
    """Return PyTorch's training, compiled in a mode or eager."""
    import torch

    import torch_ref

    torch.manual_seed(task.seed)
    model = torch_ref.models.simple_cnn(task.classes, task.in_channels, task.image_size)
    optimizer = torch.optim.Adam(model.parameters(), lr=task.lr)
    forward = model if mode is None else torch.compile(model, mode=mode)

    def train(batches: list[Batch]) -> float:
        loss = torch.zeros(())
        for inputs, labels in batches:
            optimizer.zero_grad()
            images = torch.from_numpy(inputs).permute(0, 3, 1, 2)
            targets = torch.from_numpy(labels.astype(np.int64))
            loss = torch.nn.functional.cross_entropy(forward(images), targets)
            loss.backward()
            optimizer.step()
        return loss.item()

    return train


def torch_name(mode: TorchMode) -> str:
    """Return how a mode is called in the tables."""
    return f"torch.compile, {mode}"


def has_cxx(console: Console) -> bool:
    """Return whether there is the C++ compiler that ``torch.compile`` needs on a CPU."""
    if any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        return True
    console.print("torch.compile needs a C++ compiler, and none is on the path: no rows of it")
    return False


# -------------------------------------------------------------------------------------- timing


def time_in_turns(runs: list[Contender], epochs: list[list[Batch]]) -> list[Timing]:
    """Time the first call of each contender, then all epochs in turns.

    So what slows the machine slows all of them.
    """
    firsts = [clocked(run.train, epochs[0][: run.steps_a_call])[0] for run in runs]
    rounds = [[clocked(run.train, batches) for run in runs] for batches in epochs]
    timings = []
    for index, (run, first) in enumerate(zip(runs, firsts, strict=True)):
        epoch = float(np.median([turn[index][0] for turn in rounds]))
        steps = len(epochs[0])
        compiling = max(0.0, first - epoch / steps * run.steps_a_call)
        timings.append(Timing(run.name, compiling, epoch, steps, rounds[0][index][1]))
    return timings


def clocked(train: Callable[[list[Batch]], float], batches: list[Batch]) -> tuple[float, float]:
    """Return the seconds that it took, and the loss."""
    begin = time.perf_counter()
    loss = train(batches)
    return time.perf_counter() - begin, loss


# ---------------------------------------------------------------- the first step of a new process


def first_steps(task: Task, batch: Batch, options: Options, console: Console) -> dict[str, float]:
    """Return the seconds of a new process's first step, by where its program comes from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "batch.npz", inputs=batch[0], labels=batch[1])
        ask = process_for(task, folder)
        found = {
            "jaxaccel, compiled": ask("compiled"),
            "jaxaccel, cache empty": ask("cached"),
            "jaxaccel, cache filled": ask("cached"),
            "jaxaccel, executable saved": ask("saved"),
            "jaxaccel, executable loaded": ask("loaded"),
        }
        del found["jaxaccel, executable saved"]  # it compiles too
        if find_spec("torch") is not None:
            found[EAGER] = ask("eager")
            if not options.smoke and has_cxx(console):
                found["torch.compile, cache empty"] = ask("torch")
                found["torch.compile, cache filled"] = ask("torch")
    return found


def process_for(task: Task, folder: Path) -> Callable[[str], float]:
    """Return a function that asks a new process for the seconds of its first step."""

    def ask(way: str) -> float:
        given = json.dumps([way, str(folder), task])
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor")}
        environment[NO_TORCH_CACHE] = "0"
        command = [sys.executable, "-W", "ignore", __file__, "--process", given]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(done.stderr)
        return float(done.stdout.splitlines()[-1])

    return ask


def process(way: str, folder: Path, task: Task) -> None:
    """Take one step from a program that comes from somewhere, and print its seconds."""
    loaded = np.load(folder / "batch.npz")
    batch = (loaded["inputs"], loaded["labels"])
    if way in ("eager", "torch"):
        train = torch_training(task, None if way == "eager" else "default")
        print(clocked(train, [batch])[0])
        return
    if way == "cached":
        ja.aot.compilation_cache(folder / "programs")
    gradient_fn, tx, make_state = jax_recipe(task)
    state = jax.block_until_ready(make_state())
    path = folder / "step.executable"
    begin = time.perf_counter()
    if way == "loaded":
        step: Any = ja.aot.load_executable(path)
    else:
        step = ja.training.train_step(gradient_fn, tx)
    if way == "saved":
        ja.aot.save_executable(jax.jit(step, donate_argnums=0).lower(state, batch), path)
    jax.block_until_ready(step(state, batch))
    print(time.perf_counter() - begin)


# ---------------------------------------------------------------------------------- the report


def steps_table(timings: list[Timing], options: Options) -> Table:
    """Put the contenders side by side."""
    notes = [
        f"batches of {options.batch_size}, {timings[0].steps} steps an epoch",
        "compile: the first call, less what a steady one takes",
        "/ first, / eager: a step's time to the first row's, and to PyTorch's",
        "loss: at the end of the first epoch, from the same weights and batches",
    ]
    table = new_table("One training step", notes)
    table.add_column("contender", no_wrap=True)
    for name in ("compile", "step", "epoch", "/ first", "/ eager", "loss"):
        table.add_column(name, justify="right", no_wrap=True)
    by_name = {timing.name: timing for timing in timings}
    for timing in timings:
        ratios = [
            f"{timing.step / by_name[peer].step:.2f}" if peer in by_name else "-"
            for peer in (ONE_BY_ONE, EAGER)
        ]
        table.add_row(
            timing.name,
            f"{timing.compile:.2f} s",
            f"{1e3 * timing.step:.1f} ms",
            f"{timing.epoch:.2f} s",
            *ratios,
            f"{timing.loss:.4f}",
        )
    return table


def first_steps_table(firsts: dict[str, float]) -> Table:
    """Put the first steps of new processes side by side."""
    table = new_table("The first step of a new process, imports and weights apart", [])
    table.add_column("program", no_wrap=True)
    table.add_column("first step", justify="right", no_wrap=True)
    for name, seconds in firsts.items():
        table.add_row(name, f"{seconds:.2f} s")
    return table


def new_table(title: str, notes: list[str]) -> Table:
    """Return an empty table in this script's style."""
    return Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        caption="\n".join(notes),
        caption_justify="left",
    )


def draw(timings: list[Timing], firsts: dict[str, float]) -> Figure:
    """Draw a step of each contender, and the first steps of new processes."""
    figure = Figure(figsize=(11, 0.42 * max(len(timings), len(firsts)) + 1.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    bars(left, {t.name: 1e3 * t.step for t in timings}, "One step (ms)", "{:.1f}")
    bars(right, firsts, "First step of a new process (s)", "{:.2f}")
    return figure


def bars(panel: Any, values: dict[str, float], title: str, form: str) -> None:
    """Draw named numbers as bars, the first on top."""
    colours = ["#2f7ed8" if name.startswith("jaxaccel") else "#8a8f98" for name in values]
    found = panel.barh(list(values), list(values.values()), color=colours)
    panel.bar_label(found, labels=[form.format(value) for value in values.values()], padding=3)
    panel.invert_yaxis()
    panel.margins(x=0.15)
    panel.set_title(title, fontsize=11)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="y", length=0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--process"]:
        way, folder, task = json.loads(sys.argv[2])
        process(way, Path(folder), Task(*task))
    else:
        main(tyro.cli(Options))
