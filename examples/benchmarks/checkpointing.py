"""Read what activation checkpointing saves, and costs, off the programs that compilers make.

    python examples/benchmarks/checkpointing.py
    python examples/benchmarks/checkpointing.py --compilers v5e --models characters stack

Loss and gradients, compiled for one chip from shapes alone: a GPT of twelve blocks on characters,
GPT-2 with its 50,304 tokens, a ResNet-50, and a stack of ten linear layers. ``v5e`` needs no TPU
but ``libtpu`` (the extra ``aot``). A row has what the program holds beside arguments and results
and what it computes, and both as multiples of the same program without checkpoints. Blocks of one
form are called one by one or by a scan; CPUs start what they can at once, and so hold all that
blocks called one by one compute again. Takes ten minutes of a CPU core.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import _timing as timing
import jax
import jax.numpy as jnp
import tyro
from flax import nnx

import jaxaccel as ja

checkpoint = ja.memory.checkpoint
PLAIN = "no checkpoint"
WAYS: dict[str, Callable[..., Any] | None] = {
    PLAIN: None,
    "checkpoint": checkpoint,
    'policy="dots"': functools.partial(checkpoint, policy="dots"),
    'names=["linear"]': functools.partial(checkpoint, names=["linear"]),
    'names=["conv2d"]': functools.partial(checkpoint, names=["conv2d"]),
    'names=["scaled_dot_product_attention"]': functools.partial(
        checkpoint, names=["scaled_dot_product_attention"]
    ),
}

ALWAYS = (PLAIN, "checkpoint", 'policy="dots"')


class Task(NamedTuple):
    """A model that takes ``checkpoint=``, what it is given, and the ways that make sense for it."""

    make: Callable[..., nnx.Module]
    inputs: jax.ShapeDtypeStruct
    classes: int
    ways: tuple[str, ...]
    has_scan: bool = True


class Stack(nnx.Module):
    """Ten linear layers with a ReLU behind each, two to a segment, and one to a single number."""

    def __init__(
        self,
        width: int,
        *,
        scan_layers: bool,
        checkpoint: Callable[..., Any] | None,
        rngs: nnx.Rngs,
    ):
        pairs = [
            ja.nn.Sequential(*self.layer(width, rngs), *self.layer(width, rngs)) for _ in range(5)
        ]
        self.layers = ja.nn.StackedLayers(pairs, checkpoint) if scan_layers else nnx.List(pairs)
        self.checkpoint = checkpoint
        self.last = ja.nn.Linear(width, 1, rngs=rngs)

    @staticmethod
    def layer(width: int, rngs: nnx.Rngs) -> tuple[Any, Any]:
        """Return a linear layer and what follows it."""
        return ja.nn.Linear(width, width, rngs=rngs), ja.nn.ReLU()

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return (N, 1)."""
        if isinstance(self.layers, ja.nn.StackedLayers):
            return self.last(self.layers(x))
        for pair in self.layers:
            x = (pair if self.checkpoint is None else self.checkpoint(pair))(x)
        return self.last(x)


def gpt(*, layers: int, width: int, heads: int, length: int, batch: int, vocabulary: int) -> Task:
    """Return a GPT."""
    config = ja.models.GPTConfig(length, vocabulary, layers, heads, width)
    return Task(
        functools.partial(ja.models.gpt, config),
        jax.ShapeDtypeStruct((batch, length), jnp.int32),
        vocabulary,
        (*ALWAYS, 'names=["linear"]', 'names=["scaled_dot_product_attention"]'),
    )


def tasks(smoke: bool) -> dict[str, Task]:
    """Return the models by name."""
    small = {"layers": 2, "width": 32, "heads": 2, "length": 32, "batch": 2, "vocabulary": 65}
    characters = {"layers": 12, "width": 384, "heads": 6, "length": 256, "batch": 64}
    gpt2 = {"layers": 12, "width": 768, "heads": 12, "length": 1024, "batch": 4}
    images, rows = (32, 4) if smoke else (224, 64)
    return {
        "characters": gpt(**(small if smoke else characters | {"vocabulary": 65})),
        "gpt2": gpt(**(small if smoke else gpt2 | {"vocabulary": 50304})),
        "resnet50": Task(
            ja.models.resnet10 if smoke else ja.models.resnet50,
            jax.ShapeDtypeStruct((rows, images, images, 3), jnp.float32),
            10 if smoke else 1000,
            (*ALWAYS, 'names=["conv2d"]'),
            has_scan=False,
        ),
        "stack": Task(
            functools.partial(Stack, 100),
            jax.ShapeDtypeStruct((64 if smoke else 65536, 100), jnp.float32),
            0,
            ALWAYS[:2],
        ),
    }


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile."""

    models: tuple[Literal["characters", "gpt2", "resnet50", "stack"], ...] = (
        *("characters", "gpt2", "resnet50", "stack"),
    )
    """Which models."""
    compilers: tuple[Literal["v5e", "cpu"], ...] = ("v5e", "cpu")
    """For which devices."""
    blocks: tuple[Literal["one by one", "scan"], ...] = ("one by one", "scan")
    """How blocks of one form are called."""


def main(args: Args) -> None:
    """Print a table of memory and operations."""
    rows, compilers = [], ("cpu",) if args.smoke else args.compilers
    for compiler in compilers:
        for name in args.models:
            task = tasks(args.smoke)[name]
            for blocks in args.blocks if task.has_scan else args.blocks[:1]:
                rows += rows_of(compiler, name, task, blocks)
    timing.report(args, [timing.Table("loss and gradients, by what is kept", rows)])


def rows_of(compiler: str, name: str, task: Task, blocks: str) -> list[timing.Row]:
    """Return the table's rows of a model, one a way."""
    rows: list[timing.Row] = []
    plain: Any = None
    for way in task.ways:
        start = time.process_time()
        step = lowered(task, WAYS[way], device(compiler), scan_layers=blocks == "scan")
        program = step.compile()
        seconds, report = time.process_time() - start, ja.aot.report(program)
        plain = plain or report
        row: timing.Row = {"compiler": compiler, "model": name, "blocks": blocks, "kept": way}
        row["temporary MiB"] = report.temporary_bytes / 2**20
        row["of plain"] = report.temporary_bytes / max(1, plain.temporary_bytes)
        row["GFLOP"] = (report.flops or 0) / 1e9
        row["of plain's"] = (report.flops or 0) / max(1, plain.flops or 0)
        row["CPU s to compile"] = seconds
        rows.append(row)
    return rows


def device(compiler: str) -> Any:
    """Return a device to compile for."""
    if compiler == "cpu":
        return jax.local_devices(backend="cpu")[0]
    return ja.aot.topology_devices(f"tpu:{compiler}:1x1")[0]


def lowered(
    task: Task, way: Callable[..., Any] | None, device: Any, *, scan_layers: bool = False
) -> jax.stages.Lowered:
    """Return the program of a model's loss and gradients, made from shapes alone."""
    how = {"scan_layers": scan_layers} if task.has_scan else {}
    model = nnx.eval_shape(lambda: task.make(checkpoint=way, rngs=nnx.Rngs(0), **how))
    apply, params, model_state = ja.training.split_model(model)
    rows = task.inputs.shape if task.inputs.dtype == jnp.int32 else task.inputs.shape[:1]
    labels = jax.ShapeDtypeStruct(rows, jnp.int32 if task.classes else jnp.float32)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        inputs, labels = batch
        outputs, model_state = apply(params, model_state, inputs, training=True)
        if not task.classes:
            return jnp.mean((outputs[:, 0] - labels) ** 2), (model_state, {})
        outputs, labels = outputs.reshape(-1, task.classes), labels.reshape(-1)
        return ja.functional.cross_entropy(outputs, labels), (model_state, {})

    place = jax.sharding.SingleDeviceSharding(device)
    given = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        (params, model_state, (task.inputs, labels)),
    )
    return jax.jit(ja.training.gradients(loss_fn)).lower(*given)


if __name__ == "__main__":
    main(tyro.cli(Args))
