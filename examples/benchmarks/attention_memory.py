"""Read the memory that attention needs off the programs that the TPU compiler makes of it.

    python examples/benchmarks/attention_memory.py
    python examples/benchmarks/attention_memory.py --lengths 2048 --batch 8 --causal

Needs no TPU: ``libtpu`` (the extra ``aot``) compiles forward and backward pass for one v5e chip and
for eight that share the batch, in a plain ``jit``; ``flash`` has to be in ``jax.shard_map`` there.
The table has what a chip holds beside arguments and results; a dash is a program that does not fit.

bfloat16, 16 sequences per chip, 8 heads, vectors of 128 (jax 0.10.2, libtpu 0.0.42), MiB for L =
1024, 2048, 4096, 8192: plain 769, 3072, 12288 and does not fit; by default 129, 513, 1024, 2049;
flash 128, 384, 768, 1536; the same on eight chips. Takes 90 seconds of a CPU core.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-16",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "true",
}
"""Without these libtpu asks Google's cloud where it is."""

IMPLEMENTATIONS = ("plain", None, "flash")
CHIPS = {1: "v5e:1x1", 8: "v5e:2x4"}
SHARED = PartitionSpec("data")


@dataclasses.dataclass
class Args:
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
    os.environ.update(QUIET)
    table = Table("chips", "L", *(str(name) for name in IMPLEMENTATIONS))
    for chips in CHIPS:
        for length in args.lengths:
            cells = [temporary(name, length, chips, args) for name in IMPLEMENTATIONS]
            table.add_row(str(chips), str(length), *cells)
    Console(width=100).print("temporary MiB of a v5e chip, by implementation", table)


def temporary(implementation: str | None, length: int, chips: int, args: Args) -> str:
    """Return the MiB of temporary memory of a step, or a dash if the chip has not enough."""
    kwargs = {"chips_per_host_bounds": [1, 1, 1]} if chips == 1 else {}
    topology = topologies.get_topology_desc(platform="tpu", topology_name=CHIPS[chips], **kwargs)
    mesh = topologies.make_mesh(topology, (chips,), ("data",))
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
        return "-"
    return f"{compiled.memory_analysis().temp_size_in_bytes / 2**20:.0f}"


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
