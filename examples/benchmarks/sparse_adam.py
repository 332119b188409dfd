"""Time a SparseAdam step on tables of growing size: what it costs should not grow with them.

    python examples/benchmarks/sparse_adam.py

A step names as many rows whatever the table's size, others every time. Beside jaxaccel's
``sparse_adam``, jitted and donated: jaxaccel's ``adam`` on a dense gradient, and PyTorch's
SparseAdam, all in turns.

On 2 CPU cores (jax 0.10, PyTorch 2.13, both busy with other work) a step on a table of 1,000 rows
took 0.18 ms and on one of 1,000,000 rows 0.59 ms, which no cache holds; PyTorch's SparseAdam 0.30
and 0.62 ms, jaxaccel's adam on dense gradients 0.23 and 254 ms. Compiling took 1 to 2 seconds.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable
from typing import Any

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

import jaxaccel as ja

GRADIENTS = 16


@dataclasses.dataclass
class Args(timing.Options):
    """What to time."""

    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    """Rows of each table."""
    width: int = 64
    """Numbers in a row."""
    touched: int = 256
    """Rows that a step's gradient names."""


def main(args: Args) -> None:
    """Print milliseconds per step, and as a multiple of the smallest table's."""
    if args.smoke:
        args = dataclasses.replace(args, sizes=(10, 20), width=2, touched=3)
    timing.start(args)
    rows: list[timing.Row] = []
    for size in args.sizes:
        milliseconds, compiled = measure(size, args)
        first = rows[0] if rows else milliseconds
        row: timing.Row = {"rows": size} | milliseconds
        row |= {f"{name}, times the first": row[name] / first[name] for name in milliseconds}
        rows.append(row | {"compile s": compiled[0], "adam's": compiled[1]})
    title = f"ms a step, which names {args.touched} rows of {args.width} numbers"
    timing.report(args, [timing.Table(title, rows)])


def measure(size: int, args: Args) -> tuple[dict[str, float], list[float]]:
    """Return the median milliseconds of each optimizer, and seconds of compiling."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, size, (GRADIENTS, args.touched))
    rows = rng.normal(size=(*ids.shape, args.width)).astype(np.float32)
    sparse = [
        ja.optimizers.SparseRows(jnp.asarray(i, jnp.int32), jnp.asarray(r))
        for i, r in zip(ids, rows, strict=True)
    ]
    table = jnp.zeros((size, args.width))
    dense = [ja.optimizers.apply_sparse_updates(table, sparse[0])]
    sparse_step, sparse_compile = prepare(ja.optimizers.sparse_adam(), table, sparse)
    dense_step, dense_compile = prepare(ja.optimizers.adam(), table, dense)
    runs = {
        "sparse_adam": sparse_step,
        "adam": dense_step,
        "PyTorch's": prepare_pytorch(size, args.width, ids, rows),
    }
    times = timing.in_turns(runs, args.rounds)
    medians = {name: 1e3 * float(np.median(each.wall)) for name, each in times.items()}
    return medians, [sparse_compile, dense_compile]


def prepare(tx: Any, table: jax.Array, grads: list[Any]) -> tuple[Callable[[], None], float]:
    """Return one whole step as a call, and the seconds that compiling it took."""

    def step(grad: Any, table: jax.Array, state: Any) -> tuple[jax.Array, Any]:
        updates, state = tx.update(grad, state, table)
        return ja.optimizers.apply_sparse_updates(table, updates), state

    # A copy: the step takes its table away.
    now = (jnp.copy(table), tx.init(table))
    begin = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(1, 2)).lower(grads[0], *now).compile()
    seconds = time.perf_counter() - begin

    turns = itertools.cycle(grads)

    def once() -> None:
        nonlocal now
        now = jax.block_until_ready(compiled(next(turns), *now))

    return once, seconds


def prepare_pytorch(size: int, width: int, ids: np.ndarray, rows: np.ndarray) -> Callable[[], None]:
    """Return one step of PyTorch's SparseAdam, on the same device where PyTorch has it."""
    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    # The work is too small for more, and they would wait for a core that JAX's threads still hold.
    torch.set_num_threads(1)
    table = torch.nn.Parameter(torch.zeros(size, width, device=device))
    optimizer = torch.optim.SparseAdam([table])
    indices = torch.tensor(ids, device=device)[:, None]
    turns = itertools.cycle(zip(indices, torch.tensor(rows, device=device), strict=True))

    def once() -> None:
        # Made anew, as every backward pass does: coalescing it is a part of the step.
        table.grad = torch.sparse_coo_tensor(*next(turns), table.shape, check_invariants=False)
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return once


if __name__ == "__main__":
    main(tyro.cli(Args))
