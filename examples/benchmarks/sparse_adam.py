"""Time a SparseAdam step on tables of growing size: what it costs should not grow with them.

    python examples/benchmarks/sparse_adam.py

A step names as many rows whatever the table's size, others every time. Beside jaxaccel's
``sparse_adam``, jitted and donated: jaxaccel's ``adam`` on a dense gradient, and PyTorch's
SparseAdam. They take turns; a turn is one step that is not counted, because the others have emptied
the caches, and one that is. Compile time stands in a column of its own.

On 2 CPU cores (jax 0.10, PyTorch 2.13, both busy with other work) a step on a table of 1,000 rows
took 0.18 ms and on one of 1,000,000 rows 0.59 ms, which no cache holds; PyTorch's SparseAdam 0.30
and 0.62 ms, jaxaccel's adam on dense gradients 0.23 and 254 ms. Compiling took 1 to 2 seconds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

import jaxaccel as ja

GRADIENTS = 16


def main(
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000),
    width: int = 64,
    touched: int = 256,
    rounds: int = 30,
) -> None:
    """Print milliseconds per step, and as a multiple of the smallest table's.

    Args:
        sizes: Rows of each table.
        width: Numbers in a row.
        touched: Rows that a step's gradient names.
        rounds: Steps that are counted.
    """
    table = Table(title=f"{touched} rows of {width} numbers a step, on {jax.default_backend()}")
    table.add_column("rows", justify="right")
    for name in ("sparse_adam", "adam", "SparseAdam (PyTorch)"):
        table.add_column(f"{name}\nms a step", justify="right")
        table.add_column("times the\nsmallest", justify="right")
    table.add_column("compile s:\nsparse_adam, adam", justify="right")

    first: dict[str, float] = {}
    for size in sizes:
        seconds, compiled = measure(size, width, touched, rounds)
        first = first or seconds
        cells = [f"{size:,}"]
        for name, median in seconds.items():
            cells += [f"{1e3 * median:.3f}", f"{median / first[name]:.1f}"]
        table.add_row(*cells, ", ".join(f"{value:.2f}" for value in compiled))
    Console().print(table)


def measure(
    size: int, width: int, touched: int, rounds: int
) -> tuple[dict[str, float], list[float]]:
    """Return the median seconds of each optimizer, taken in turns, and seconds of compiling."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, size, (GRADIENTS, touched))
    rows = rng.normal(size=(*ids.shape, width)).astype(np.float32)
    sparse = [
        ja.optimizers.SparseRows(jnp.asarray(i, jnp.int32), jnp.asarray(r))
        for i, r in zip(ids, rows, strict=True)
    ]
    table = jnp.zeros((size, width))
    dense = [ja.optimizers.apply_sparse_updates(table, sparse[0])]
    sparse_step, sparse_compile = prepare(ja.optimizers.sparse_adam(), table, sparse)
    dense_step, dense_compile = prepare(ja.optimizers.adam(), table, dense)
    steps = {
        "sparse_adam": sparse_step,
        "adam": dense_step,
        "SparseAdam (PyTorch)": prepare_pytorch(size, width, ids, rows),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(2 + rounds):
        for name, step in steps.items():
            step()
            begin = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begin)
    medians = {name: float(np.median(times[2:])) for name, times in seconds.items()}
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
    tyro.cli(main)
