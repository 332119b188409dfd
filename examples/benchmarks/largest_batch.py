"""Find the largest batch that fits on a chip that is not here, by its own compiler.

    python examples/benchmarks/largest_batch.py
    python examples/benchmarks/largest_batch.py --topology gpu:h100:1
    python examples/benchmarks/largest_batch.py --dtype bfloat16 --model gpt

Needs no chip: ``libtpu`` (the extra ``aot``) or JAX's CUDA plugin (``aot-gpu``) compiles the whole
training step, AdamW with clipping, for each candidate (``ja.memory.max_batch_size``). The tables
have every candidate, and what the step needs at the largest batch that fits
(``ja.memory.report``). A TPU's compiler refuses what does not fit by itself; for a GPU what the
program needs is compared with the memory that the card has.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal

import _timing as timing
import jax
import jax.numpy as jnp
import tyro
from _steps import OURS, Task, gpt, jax_step, resnet10, resnet50

import jaxaccel as ja

TASKS = {
    "resnet50": resnet50(1),
    "resnet10": resnet10(64, 1),
    "gpt": gpt(768, 12, 1, 1024, 50257, 12),
}


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile."""

    model: Literal["resnet50", "resnet10", "gpt"] = "resnet50"
    """ResNet-50 on images of 224x224, ResNet-10 on 32x32, or GPT-2's smallest."""
    topology: str = "tpu:v5e:1x1"
    """The chip, as ``ja.aot.topology_devices`` names it."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in; parameters and optimizer are float32."""
    budget: float = 0
    """GiB; 0 is what the chip has."""
    start: int = 32
    """The batch to try first."""
    multiple_of: int = 8
    """Which batches to try: near its limit a TPU's compiler takes minutes for each."""


def main(args: Args) -> None:
    """Print what was tried, and what the largest needs."""
    if args.smoke:
        args = dataclasses.replace(args, model="resnet10", budget=0.25, start=8, multiple_of=8)
    task = TASKS[args.model]
    jax.config.update("jax_platforms", "cpu")  # what is here takes no part
    step, state, _ = jax_step(OURS, task, jnp.dtype(args.dtype), is_abstract=True)
    found = ja.memory.max_batch_size(
        step,
        partial(shapes_of, task),
        state,
        topology=args.topology,
        budget=round(args.budget * 2**30) or None,
        start=args.start,
        multiple_of=args.multiple_of,
    )
    tried = [
        {
            "batch": each.batch_size,
            "fits": "yes" if each.fits else "no",
            "GiB": None if each.nbytes is None else each.nbytes / 2**30,
            "GFLOPs": None if each.flops is None else each.flops / 1e9,
            "seconds": each.seconds,
            "why": each.reason.partition(": ")[2] or each.reason,
        }
        for each in sorted(found.candidates, key=lambda each: each.batch_size)
    ]
    title = f"{args.model}, {args.dtype}, {args.topology}: {found.batch_size} fit"
    tables = [timing.Table(title, tried)]
    if found.batch_size:
        batch = shapes_of(task, found.batch_size)
        report = ja.memory.report(step, state, batch, topology=args.topology)
        print(report)
        parts = {name: size for name, size in report._asdict().items() if isinstance(size, int)}
        rows = [{"part": name, "MiB": size / 2**20} for name, size in parts.items()]
        tables.append(timing.Table(f"what a batch of {found.batch_size} needs", rows))
    print(found.stopped)
    timing.report(args, tables)


def shapes_of(task: Task, rows: int) -> Any:
    """Return the shapes of a batch of inputs and targets."""
    shape = (rows, *task.inputs[1:])
    if task.of_tokens:
        return (jax.ShapeDtypeStruct(shape, jnp.int32),) * 2
    return jax.ShapeDtypeStruct(shape, jnp.float32), jax.ShapeDtypeStruct((rows,), jnp.int32)


if __name__ == "__main__":
    main(tyro.cli(Args))
