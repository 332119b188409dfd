"""Time a whole training step beside flax + optax's and PyTorch's, or read what it moves on a TPU.

    python examples/benchmarks/train_step.py
    python examples/benchmarks/train_step.py --cores 1 --models gpt lstm --torch-compile
    python examples/benchmarks/train_step.py --compiler v5e --models resnet10 gpt

Forward and backward, clipping, AdamW: the same architecture in ``jaxaccel``, in flax's own layers
(``_peers.py``) and in PyTorch (``torch_ref.models``), each step as a user writes it. The limit is
the step's matrix products and convolutions at the speed of a large product.

With ``--compiler`` nothing runs: the vendor's compiler (the extras ``aot`` and ``aot-gpu``; no TPU
or GPU is needed) says how many bytes the step moves and how much memory it takes beside its state.
These figures are exact, and not times. A loop counts as often as it runs; a branch for what is
rare, the second pass over a batch whose mean is far off, does not count.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import _steps as steps
import _timing as timing
import jax
import jax.numpy as jnp
import tyro
from _steps import OURS, PEER, Side, Task

import jaxaccel as ja

EAGER = "PyTorch eager"
TOPOLOGIES = {"v5e": "tpu:v5e:1x1", "v6e": "tpu:v6e:1x1", "h100": "gpu:h100:1"}

TIMED: dict[str, Callable[[], Task]] = {
    "resnet10, width 16": lambda: steps.resnet10(16, 64),
    "resnet10, width 32": lambda: steps.resnet10(32, 64),
    "resnet10, width 64": lambda: steps.resnet10(64, 32),
    "gpt, 4 x 128": lambda: steps.gpt(128, 4, 8, 128, 512, 4),
    "vit, 4 x 192": lambda: steps.vit(192, 4, 3, 32, 4, 32),
    "lstm, 64 steps": lambda: steps.lstm(64, 128, 64, 64),
    "mlp, 784-512-512-10": lambda: steps.mlp((784, 512, 512, 10), 256),
}
COMPILED: dict[str, Callable[[], Task]] = {
    "resnet10, width 64, batch 256": lambda: steps.resnet10(64, 256),
    "resnet50, batch 64": lambda: steps.resnet50(64),
    "gpt, 4 x 256, batch 16 x 256": lambda: steps.gpt(256, 4, 16, 256, 512, 4),
    "vit, 4 x 192, batch 64 x 197": lambda: steps.vit(192, 4, 3, 224, 16, 64),
    "lstm, 64 steps, batch 256": lambda: steps.lstm(256, 512, 256, 64),
}
SMOKE: dict[str, Callable[[], Task]] = {
    "gpt, 1 x 8": lambda: steps.gpt(8, 1, 2, 8, 16, 2),
    "lstm, 3 steps": lambda: steps.lstm(4, 4, 2, 3),
    "mlp, 8-8-2": lambda: steps.mlp((8, 8, 2), 4),
}


@dataclasses.dataclass
class Args(timing.Options):
    """What to time or to compile."""

    models: tuple[str, ...] = ()
    """Starts of the names of those to take; default: all."""
    torch_compile: bool = False
    """Time ``torch.compile`` too, which needs a C++ compiler and up to a minute a model."""
    compiler: Literal["v5e", "v6e", "h100"] | None = None
    """Compile for this machine instead of taking times."""
    dtypes: tuple[Literal["float32", "bfloat16"], ...] = ("float32", "bfloat16")
    """What to compute in, for a compiler; parameters are float32."""


def main(args: Args) -> None:
    """Print a table for each model, or one of the compiler's figures."""
    timing.start(args)
    found = COMPILED if args.compiler else TIMED
    tasks = {
        name: make()
        for name, make in (SMOKE if args.smoke else found).items()
        if not args.models or name.startswith(args.models)
    }
    if not tasks:
        raise SystemExit(f"--models {' '.join(args.models)}: there are {', '.join(found)}")
    if args.compiler:
        timing.report(args, [figures(args.compiler, tasks, args.dtypes)])
        return
    if args.torch_compile and not timing.can_torch_compile():
        raise SystemExit("--torch-compile needs a C++ compiler")
    limits = timing.limits(args.smoke)
    tables = (timed(name, task, args, limits) for name, task in tasks.items())
    timing.report(args, tables, limits=limits._asdict())


# ----------------------------------------------------------------------------------------- times


def timed(name: str, task: Task, args: Args, limits: timing.Limits) -> timing.Table:
    """Return the table of a model."""
    made = {side: jax_run(steps.jax_step(side, task), task) for side in (OURS, PEER)}
    compiling = timing.first_calls(made)
    runs = made | torch_runs(name, task, args.torch_compile)
    least = limits.seconds(moved=28 * parameters(task), flops=operations(task))
    peers = (PEER, EAGER)
    rows = timing.rows_of(timing.in_turns(runs, args.rounds), peers, least, compiling)
    return timing.Table(name, rows)


def jax_run(step: steps.Step, task: Task) -> timing.Run:
    """Return a step as a call, which goes on from the state that the last one left."""
    state, batch = step.state, jax.device_put(steps.batch_of(task))
    run = step.run if step.is_compiled else jax.jit(step.run, donate_argnums=0)

    def once() -> Any:
        nonlocal state
        state, metrics = run(state, batch)
        return metrics

    return once


def torch_runs(name: str, task: Task, with_compile: bool) -> dict[str, timing.Run]:
    """Return PyTorch's steps, for convolutions in both layouts."""
    runs = {EAGER: steps.torch_step(task)}
    if name.startswith("resnet"):
        runs["PyTorch eager, channels last"] = steps.torch_step(task, channels_last=True)
    if with_compile:
        runs["torch.compile"] = steps.torch_step(task, is_compiled=True)
    return runs


def parameters(task: Task) -> int:
    """Return how many there are."""
    _, params, _ = ja.training.split_model(jax.eval_shape(task.ours))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def operations(task: Task) -> float:
    """Return the floating-point operations in products and convolutions of flax's step."""
    run, state, _ = steps.jax_step(PEER, task, is_abstract=True)
    return products(jax.make_jaxpr(run)(state, steps.abstract(steps.batch_of(task))).jaxpr)


def products(jaxpr: Any) -> float:
    """Return the floating-point operations in products and convolutions; loops count in full."""
    total = 0.0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            lengths = [eqn.invars[0].aval.shape[axis] for axis in contracted]
            total += 2 * eqn.outvars[0].aval.size * math.prod(lengths)
        elif eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval
            outputs = kernel.shape[eqn.params["dimension_numbers"].rhs_spec[0]]
            zeros = math.prod(eqn.params["lhs_dilation"])  # between the rows of what was strided
            total += 2 * eqn.outvars[0].aval.size * kernel.size / outputs / zeros
        times = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        total += times * sum(products(inner) for inner in programs_in(eqn.params))
    return total


def programs_in(params: dict[str, Any]) -> Iterator[Any]:
    """Yield the programs that an operation calls."""
    values = [*params.values()]
    for value in itertools.chain(values, *(v for v in values if isinstance(v, (list, tuple)))):
        if hasattr(value, "jaxpr"):
            yield value.jaxpr
        elif hasattr(value, "eqns"):
            yield value


# ------------------------------------------------------------------------- the compilers' figures


def figures(compiler: str, tasks: dict[str, Task], dtypes: tuple[str, ...]) -> timing.Table:
    """Return what the steps move and hold on a machine that need not be there."""
    device, rows = ja.aot.topology_devices(TOPOLOGIES[compiler])[0], []
    for (name, task), dtype in itertools.product(tasks.items(), dtypes):
        row: timing.Row = {"step": name, "dtype": dtype}
        try:
            found = {side: sizes(side, task, dtype, device) for side in (OURS, PEER)}
        except jax.errors.JaxRuntimeError as error:  # the others' rows are not lost by it
            print(f"{name}, {dtype}: {error}", flush=True)
            rows.append(row | {"not compiled": str(error).partition("\n")[0][:60]})
            continue
        for index, (what, unit) in enumerate((("MB moved", 1e6), ("MiB held", 2**20))):
            ours, theirs = found[OURS][index], found[PEER][index]
            row[what] = round(ours / unit)
            row[f"{what} by flax"] = round(theirs / unit)
            row[f"{what}, ratio"] = ours / max(theirs, 1)
        print(row, flush=True)
        rows.append(row)
    title = f"{TOPOLOGIES[compiler]}: bytes accessed and temporaries of a step, by its compiler"
    return timing.Table(title, rows)


def sizes(side: Side, task: Task, dtype: str, device: Any) -> tuple[float, int]:
    """Return the bytes that a step moves, and those that it holds beside its state.

    Where there are loops, as often as they run: by the report, which does not leave out padding.
    """
    compiled = steps.lowered_step(side, task, jnp.dtype(dtype).type, device).compile()
    found = ja.aot.report(compiled)
    moved = steps.bytes_moved(compiled)
    if " while(" in compiled.as_text():
        moved = found.bytes_accessed - found.bytes_of_choices
    return moved, found.temporary_bytes


if __name__ == "__main__":
    main(tyro.cli(Args))
