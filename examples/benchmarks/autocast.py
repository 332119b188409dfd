"""What autocast costs a trace, and what its step moves beside the same model cast by hand.

    python examples/benchmarks/autocast.py
    python examples/benchmarks/autocast.py --compiler v5e --models resnet10 gpt

The first form times tracing: the step's loss in float32, and under ``precision.autocast``, with all
of JAX's caches cleared before each. With ``--compiler`` nothing runs: the vendor's compiler says
what the step moves in float32, with the model cast by ``precision.cast`` (bfloat16 everywhere, sums
over rows in float32) and under autocast.
"""

from __future__ import annotations

import dataclasses
import statistics
from typing import Any, Literal

import _steps as steps
import _timing as timing
import jax
import tyro
from _steps import Task
from flax import nnx
from train_step import COMPILED, SMOKE, TOPOLOGIES

import jaxaccel as ja

FLOAT32, CAST, AUTOCAST = "float32", "cast by hand", "autocast"


@dataclasses.dataclass
class Args(timing.Options):
    """What to trace, or to compile."""

    rounds: int = 7
    """Times that each step is traced."""
    compiler: Literal["v5e", "v6e", "h100"] | None = None
    """Ask the compiler of this chip instead of taking times."""
    models: tuple[str, ...] = ()
    """Parts of names; default: all."""


def main(args: Args) -> None:
    """Print the table."""
    timing.start(args)
    tasks = {
        name: make()
        for name, make in (SMOKE if args.smoke else COMPILED).items()
        if not args.models or any(part in name for part in args.models)
    }
    table = tracing(args, tasks) if args.compiler is None else figures(args.compiler, tasks)
    timing.report(args, [table])


def loss_of(task: Task, way: str) -> tuple[Any, Any, Any]:
    """Return a loss function and the shapes of its parameters and its state."""
    apply, params, model_state = ja.training.split_model(nnx.eval_shape(task.ours))
    if way == CAST:
        apply = ja.precision.cast(apply, ja.precision.Policy())

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        inputs, targets = batch
        logits, model_state = apply(params, model_state, inputs, training=True)
        return ja.functional.cross_entropy(logits, targets), (model_state, {})

    return ja.precision.autocast(loss_fn, "tpu", enabled=way == AUTOCAST), params, model_state


# --------------------------------------------------------------------------------------- tracing


def tracing(args: Args, tasks: dict[str, Task]) -> timing.Table:
    """Return the milliseconds of tracing a loss and its gradient, with empty caches."""
    rows = []
    for name, task in tasks.items():
        traces = {way: trace_of(task, way) for way in (FLOAT32, AUTOCAST)}
        times, _ = timing.compile_in_turns(traces, args.rounds)
        own = {way: 1e3 * statistics.median(times[way].cpu) for way in traces}
        rows.append({"model": name} | own | {"ratio": own[AUTOCAST] / own[FLOAT32]})
    return timing.Table("tracing a loss and its gradient, CPU ms", rows)


def trace_of(task: Task, way: str) -> timing.Run:
    """Return tracing as a call."""
    loss_fn, params, model_state = loss_of(task, way)
    gradient_fn, batch = ja.training.gradients(loss_fn), steps.abstract(steps.batch_of(task))
    return lambda: jax.jit(gradient_fn).trace(params, model_state, batch)


# ------------------------------------------------------------------------------- compilers' figures


def figures(compiler: str, tasks: dict[str, Task]) -> timing.Table:
    """Return what the steps move and hold on a machine that need not be there."""
    (device, *_), rows = ja.aot.topology_devices(TOPOLOGIES[compiler]), []
    place = jax.sharding.SingleDeviceSharding(device)
    for name, task in tasks.items():
        row: timing.Row = {"step": name}
        moved, held = {}, {}
        for way in (FLOAT32, CAST, AUTOCAST):
            compiled = lowered_step(task, way, place).compile()
            moved[way], held[way] = steps.bytes_moved(compiled), ja.aot.report(compiled)
            row[f"{way}, MB moved"] = round(moved[way] / 1e6, 1)
            row[f"{way}, MiB held"] = round(held[way].temporary_bytes / 2**20, 1)
        row["moved, autocast / by hand"] = moved[AUTOCAST] / moved[CAST]
        row["held, autocast / float32"] = (
            held[AUTOCAST].temporary_bytes / held[FLOAT32].temporary_bytes
        )
        print(row, flush=True)
        rows.append(row)
    return timing.Table(f"{TOPOLOGIES[compiler]}: a step under autocast, by its compiler", rows)


def lowered_step(task: Task, way: str, place: Any) -> jax.stages.Lowered:
    """Return a whole step, to be compiled."""
    loss_fn, params, model_state = loss_of(task, way)
    tx = ja.optimizers.adamw(steps.LR, weight_decay=steps.WEIGHT_DECAY)
    run = ja.training.train_step(ja.training.gradients(loss_fn), tx, max_grad_norm=steps.MAX_NORM)
    state = jax.eval_shape(lambda p, s: ja.training.train_state(p, tx, s), params, model_state)
    arguments = steps.abstract((state, steps.batch_of(task)), place)
    return jax.jit(run, donate_argnums=0).lower(*arguments)


if __name__ == "__main__":
    main(tyro.cli(Args))
