"""Read the memory that attention needs off the programs that the TPU compiler makes of it.

    python examples/benchmarks/attention_memory.py
    python examples/benchmarks/attention_memory.py --lengths 2048 --batch 8 --causal

Needs no TPU: ``libtpu`` (the extra ``aot``) compiles forward and backward pass for one v5e chip and
for eight that share the batch, in a plain ``jit``; ``flash`` has to be in ``jax.shard_map`` there.
The table has what a chip holds beside arguments and results; a dash is a program that does not fit.

bfloat16, 16 sequences per chip, 8 heads, vectors of 128 (jax 0.10.2, libtpu 0.0.42), MiB for L =
1024, 2048, 4096, 8192: plain 1024, 4096, and twice does not fit; by default 129, 513, 1024, 2049;
flash 128, 384, 768, 1536; the same on eight chips. Takes 90 seconds of a CPU core.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import jaxaccel as ja

IMPLEMENTATIONS = ("plain", None, "flash")
TOPOLOGIES = {1: "tpu:v5e:1x1", 8: "tpu:v5e:2x4"}
SHARED = PartitionSpec("data")


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile."""

    lengths: tuple[int, ...] = (1024, 2048, 4096, 8192)
    """Of queries and keys."""
    batch: int = 16
    """Sequences per chip."""
    heads: int = 8
    """Heads."""
    head_dim: int = 128
    """Length of the vectors."""
    causal: bool = False
    """Whether a query sees earlier keys alone."""


def main(args: Args) -> None:
    """Print a table of memory."""
    if args.smoke:
        args = dataclasses.replace(args, lengths=(256,), batch=1, heads=1)
    rows = []
    for chips in TOPOLOGIES:
        for length in args.lengths:
            row: timing.Row = {"chips": chips, "L": length}
            for name in IMPLEMENTATIONS:
                row[name or "by default"] = temporary(name, length, chips, args)
            rows.append(row)
    table = timing.Table("temporary MiB of a v5e chip, by implementation", rows)
    timing.report(args, [table])


def temporary(implementation: str | None, length: int, chips: int, args: Args) -> int | None:
    """Return the MiB of temporary memory of a step, or None if the chip has not enough."""
    mesh = Mesh(np.array(ja.aot.topology_devices(TOPOLOGIES[chips])), ("data",))
    shape = (chips * args.batch, args.heads, length, args.head_dim)
    array = jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=NamedSharding(mesh, SHARED))
    run = functools.partial(step, implementation, args.causal)
    if implementation == "flash" and chips > 1:
        run = jax.shard_map(run, mesh=mesh, in_specs=SHARED, out_specs=SHARED, check_vma=False)
    try:
        compiled = jax.jit(run).lower(*[array] * 4).compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return None
    return round(ja.aot.report(compiled).temporary_bytes / 2**20)


def step(
    implementation: str | None, causal: bool, query: Any, key: Any, value: Any, cotangent: Any
) -> Any:
    """Return the output and the gradients of query, key and value."""
    attend = functools.partial(
        ja.functional.scaled_dot_product_attention, is_causal=causal, implementation=implementation
    )
    output, pullback = jax.vjp(attend, query, key, value)
    return output, pullback(cotangent)


if __name__ == "__main__":
    main(tyro.cli(Args))
