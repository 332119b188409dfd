"""What ZeRO's stages hold and send on each device, beside the paper's formulas, by the compilers.

    python examples/benchmarks/sharding.py
    python examples/benchmarks/sharding.py --topologies tpu:v5e:4x4 --dtype bfloat16
    python -m jaxaccel aot examples/benchmarks/sharding.py:stage_3 --topology tpu:v5e:4x4

A step of 100.66 million float32 parameters (12 residual blocks in one scanned loop, each
checkpointed) with AdamW and 8 rows a device. Needs no TPU or GPU, but their compilers: the extra
``aot``, and for GPUs ``aot-gpu``; machines whose compiler is not installed are left out, with a
line. The state is what the arguments hold. What is sent is counted as rings send it: a device
passes on (n - 1) / n of what it gathers or scatters over n devices, and twice that of what it
reduces. A compile takes 5 to 20 seconds of a CPU core.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Literal

import _timing as timing
import jax
import jax.numpy as jnp
import tyro
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxaccel as ja

MACHINES = {
    "tpu:v5e:2x4": {"x": 2, "y": 4},
    "tpu:v5e:4x4": {"x": 4, "y": 4},
    "tpu:v5e:16x16": {"x": 16, "y": 16},
    "tpu:v5e:16x16:4": {"slice": 4, "x": 16, "y": 16},
    "tpu:v5e:16x16:16": {"slice": 16, "x": 16, "y": 16},
    "tpu:v5p:8x8x16": {"x": 8, "y": 8, "z": 16},
    "gpu:h100:8": {"data": 8},
    "gpu:h100:1024": {"node": 128, "data": 8},
}
"""The mesh of each: a TPU's axes are those of its torus, and one is gathered after the other."""

LAYERS, WIDTH, HIDDEN, ROWS = 12, 1024, 4096, 8
PARAMETERS = 2 * LAYERS * WIDTH * HIDDEN
THEORY = (2, 2, 2, 3)
"""Numbers that each device sends a step, of each stage, in those of the parameters."""
ROUND = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1}


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile."""

    topologies: tuple[str, ...] = tuple(MACHINES)
    """As ``ja.aot.topology_devices`` takes them."""
    stages: tuple[int, ...] = (0, 1, 2, 3)
    """ZeRO's."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the model computes in: what stage 3 gathers comes in it."""
    mode: Literal["shard_map", "jit"] = "shard_map"
    """Collectives by name, or found by the compiler."""


def main(args: Args) -> None:
    """Print a table."""
    if args.smoke:
        args = dataclasses.replace(args, topologies=("tpu:v5e:2x4",), stages=(3,))
    rows = []
    for topology in args.topologies:
        try:
            devices = ja.aot.topology_devices(topology)
        except ModuleNotFoundError as error:
            print(f"left out: {topology}: {error}", flush=True)
            continue
        mesh = ja.parallel.make_mesh(MACHINES.get(topology), devices=devices)
        for stage in args.stages:
            rows.append(row_of(topology, mesh, stage, args))
            print(rows[-1], flush=True)
    title = f"a device's share of a step in {args.dtype}, by its compiler, and by theory"
    timing.report(args, [timing.Table(title, rows)])


def row_of(topology: str, mesh: Mesh, stage: int, args: Args) -> timing.Row:
    """Return what one device holds and sends."""
    start = time.perf_counter()
    step, *shapes = residual(mesh, stage, jnp.dtype(args.dtype), args.mode)
    found = ja.aot.compile_for(step, *shapes, topology=topology, mesh=mesh)
    state = 12 * PARAMETERS
    whole = {0: 1, 1: 4 / 12 + 8 / 12 / mesh.size, 3: 1 / mesh.size}
    formula = state * whole[1 if stage == 2 else stage]
    sent = dict.fromkeys(ROUND, 0.0)
    others: set[str] = set()
    for each in found.collectives:
        passed = each.bytes * each.times * (each.devices - 1) / each.devices
        if each.kind in ROUND:
            sent[each.kind] += passed * ROUND[each.kind]
        elif passed > 4 * PARAMETERS / 100:
            others.add(f"{each.kind} {passed / 4 / PARAMETERS:.2f}")
    return {
        "machine": topology,
        "devices": mesh.size,
        "stage": stage,
        "state, MiB": round(found.argument_bytes / 2**20, 2),
        "by the formula": round(formula / 2**20, 2),
        "temporaries, MiB": round(found.temporary_bytes / 2**20, 1),
        "needed, MiB": round(found.needed_bytes / 2**20),
        **{f"{kind}, P": round(size / 4 / PARAMETERS, 2) for kind, size in sent.items()},
        "other, P": ", ".join(sorted(others)) or "-",
        "sent, P": round(sum(sent.values()) / 4 / PARAMETERS, 2),
        "theory, P": THEORY[stage],
        "overlapped": sum(each.overlapped > 0 for each in found.collectives),
        "seconds to compile": round(time.perf_counter() - start, 1),
    }


# -------------------------------------------------------------------------------------- the steps


def block(x: jax.Array, weights: Any) -> tuple[jax.Array, None]:
    """One residual block, its weights in the dtype of what comes in."""
    inner, outer = (weight.astype(x.dtype) for weight in weights)
    return x + jax.nn.gelu(x @ inner) @ outer, None


def residual(mesh: Mesh, stage: int, dtype: Any, mode: Any) -> tuple[Any, ...]:
    """Return a step of a stage, and the shapes that it takes, in their places."""

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        x, target = batch
        weights = params["inner"], params["outer"]
        found, _ = jax.lax.scan(jax.checkpoint(block), x.astype(dtype), weights)
        return ja.functional.mse_loss(found.astype(jnp.float32), target), (model_state, {})

    axes, tx = mesh.axis_names, ja.optimizers.adamw(1e-3)
    gradient_fn, placement = ja.parallel.zero(
        ja.training.gradients(loss_fn), mesh, stage=stage, axis=axes, mode=mode
    )
    params = {
        "inner": jax.ShapeDtypeStruct((LAYERS, WIDTH, HIDDEN), jnp.float32),
        "outer": jax.ShapeDtypeStruct((LAYERS, HIDDEN, WIDTH), jnp.float32),
    }
    state = jax.eval_shape(lambda params: ja.training.train_state(params, tx), params)
    state = ja.parallel.distribute_state(state, mesh, placement)
    split = NamedSharding(mesh, PartitionSpec(axes))
    rows = jax.ShapeDtypeStruct((ROWS * mesh.size, WIDTH), jnp.float32, sharding=split)
    return ja.training.train_step(gradient_fn, tx), state, (rows, rows)


def stage_0(mesh: Mesh) -> tuple[Any, ...]:
    """DistributedDataParallel, in bfloat16."""
    return residual(mesh, 0, jnp.bfloat16, "shard_map")


def stage_3(mesh: Mesh) -> tuple[Any, ...]:
    """FSDP's FULL_SHARD, in bfloat16."""
    return residual(mesh, 3, jnp.bfloat16, "shard_map")


if __name__ == "__main__":
    main(tyro.cli(Args))
