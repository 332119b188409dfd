"""Compile training steps for machines that are not here, and tabulate what their compilers say.

    python examples/benchmarks/compile_for.py
    python examples/benchmarks/compile_for.py --topologies tpu:v5e:16x16:4 --steps residual
    python -m jaxaccel aot examples/benchmarks/compile_for.py:gpt --topology tpu:v5e:4x4

Needs no TPU or GPU, but their compilers: the extra ``aot``, and for GPUs ``aot-gpu`` (those whose
compiler is not installed are left out, with a line). Every function below is one that
``python -m jaxaccel aot`` takes: it is given a mesh and returns a step and the shapes of its
arguments. ``residual`` has 100.66 million float32 parameters, AdamW and a batch of 8 rows a device;
``residual_fsdp`` keeps a share of every parameter on each device, gathered when it is used.

A compile takes 2 to 12 seconds of a CPU core, that of ``residual_fsdp`` for a 16x16 slice 75; all
of them about four minutes.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import _steps as steps
import _timing as timing
import jax
import jax.numpy as jnp
import tyro
from jax.sharding import Mesh, PartitionSpec

import jaxaccel as ja

TPUS = (
    *("tpu:v5e:2x2", "tpu:v5e:2x4", "tpu:v5e:4x4", "tpu:v5e:8x8", "tpu:v5e:16x16"),
    *("tpu:v5e:16x16:4", "tpu:v6e:4x4", "tpu:v5p:2x2x4", "tpu:v5p:8x8x16"),
)
GPUS = ("gpu:h100:8", "gpu:h100:1024", "gpu:a100:8")
SPLIT = PartitionSpec("data")
LAYERS, WIDTH, HIDDEN, ROWS = 12, 1024, 4096, 8


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile."""

    topologies: tuple[str, ...] = (*TPUS, *GPUS)
    """As ``ja.aot.topology_devices`` takes them."""
    steps: tuple[str, ...] = ("residual", "residual_fsdp")
    """Functions of this script."""


def main(args: Args) -> None:
    """Print a table."""
    if args.smoke:
        args = dataclasses.replace(args, topologies=("tpu:v5e:2x2",), steps=("residual",))
    rows = [row for name in args.steps for row in rows_of(name, args.topologies)]
    timing.report(args, [timing.Table("a device's share of a step, by its compiler", rows)])


def rows_of(name: str, topologies: tuple[str, ...]) -> list[timing.Row]:
    """Return a row for each machine."""
    rows = []
    for topology in topologies:
        try:
            devices = ja.aot.topology_devices(topology)
        except ModuleNotFoundError as error:
            print(f"left out: {topology}: {error}", flush=True)
            continue
        start = time.perf_counter()
        step, *shapes = STEPS[name](ja.parallel.make_mesh(devices=devices))
        found = ja.aot.compile_for(step, *shapes, topology=topology)
        sent = {each.kind: 0 for each in found.collectives}
        for each in found.collectives:
            sent[each.kind] += each.bytes * each.times
        rows.append(
            {
                "step": name,
                "machine": topology,
                "devices": found.devices,
                "arguments, MiB": round(found.argument_bytes / 2**20, 2),
                "peak, MiB": round(found.peak_bytes / 2**20),
                "fits": "yes" if found.fits else "no",
                "GFLOP": round(found.flops / 1e9, 2),
                "GB moved": round(found.bytes_accessed / 1e9, 2),
                "sent, MiB": ", ".join(f"{kind} {size / 2**20:.0f}" for kind, size in sent.items()),
                "overlapped": sum(each.overlapped > 0 for each in found.collectives),
                "seconds to compile": round(time.perf_counter() - start, 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


# ------------------------------------------------------------------------------------- the steps


def residual(mesh: Mesh) -> tuple[Any, ...]:
    """Twelve residual blocks on devices that all have all parameters."""
    return _residual(mesh, PartitionSpec())


def residual_fsdp(mesh: Mesh) -> tuple[Any, ...]:
    """The same on devices that have a share of each parameter."""
    return _residual(mesh, PartitionSpec(None, "data"))


def _residual(mesh: Mesh, of_weights: PartitionSpec) -> tuple[Any, ...]:
    def block(x: jax.Array, weights: Any) -> tuple[jax.Array, None]:
        inner, outer = (weight.astype(jnp.bfloat16) for weight in weights)
        return x + jax.nn.gelu(x @ inner) @ outer, None

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        x, target = batch
        weights = params["inner"], params["outer"]
        found, _ = jax.lax.scan(jax.checkpoint(block), x.astype(jnp.bfloat16), weights)
        loss = ja.functional.mse_loss(found.astype(jnp.float32), target)
        return loss, (model_state, {})

    tx = ja.optimizers.adamw(1e-3)
    params = {
        "inner": jax.ShapeDtypeStruct((LAYERS, WIDTH, HIDDEN), jnp.float32),
        "outer": jax.ShapeDtypeStruct((LAYERS, HIDDEN, WIDTH), jnp.float32),
    }
    state = jax.eval_shape(lambda params: ja.training.train_state(params, tx), params)
    state = jax.tree.map(
        lambda leaf: leaf.update(sharding=of_weights if leaf.ndim == 3 else PartitionSpec()), state
    )
    rows = jax.ShapeDtypeStruct((ROWS * mesh.size, WIDTH), jnp.float32, sharding=SPLIT)
    return ja.training.train_step(ja.training.gradients(loss_fn), tx), state, (rows, rows)


def gpt(mesh: Mesh) -> tuple[Any, ...]:
    """A GPT of 4 layers in bfloat16, 16 texts of 256 tokens a device."""
    return _of_task(steps.gpt(256, 4, 16 * mesh.size, 256, 512, 4), jnp.bfloat16)


def lstm(mesh: Mesh) -> tuple[Any, ...]:
    """An LSTM over 64 steps, 256 sequences a device."""
    return _of_task(steps.lstm(256, 512, 256 * mesh.size, 64), jnp.float32)


def vit(mesh: Mesh) -> tuple[Any, ...]:
    """A vision transformer in bfloat16, 64 images of 224x224 a device."""
    return _of_task(steps.vit(192, 4, 3, 224, 16, 64 * mesh.size), jnp.bfloat16)


def resnet50(mesh: Mesh) -> tuple[Any, ...]:
    """ResNet-50 in bfloat16, 64 images of 224x224 a device."""
    return _of_task(steps.resnet50(64 * mesh.size), jnp.bfloat16)


def _of_task(task: steps.Task, dtype: Any) -> tuple[Any, ...]:
    step, state, _ = steps.jax_step(steps.OURS, task, dtype, is_abstract=True)
    targets = task.inputs if task.of_tokens else task.inputs[:1]
    inputs = jnp.int32 if task.of_tokens else jnp.float32
    return (
        step,
        state,
        (
            jax.ShapeDtypeStruct(task.inputs, inputs, sharding=SPLIT),
            jax.ShapeDtypeStruct(targets, jnp.int32, sharding=SPLIT),
        ),
    )


STEPS: dict[str, Callable[[Mesh], tuple[Any, ...]]] = {
    each.__name__: each for each in (residual, residual_fsdp, gpt, lstm, vit, resnet50)
}

if __name__ == "__main__":
    main(tyro.cli(Args))
