"""Time an optimizer's compiled step beside optax's namesake, PyTorch's own, and a plain copy.

    python examples/benchmarks/optimizer_step.py
    python examples/benchmarks/optimizer_step.py --shapes resnet50 --optimizers adamw sgd

The step is jitted and donates parameters and state. Every contender takes its turn in every round,
and medians are compared; building and compiling is timed apart, also in turns. ``copy`` moves the
bytes that the step must at least read and write.

On 2 CPU cores (jax 0.10, optax 0.2.8) ratios to optax, of a step and of compiling: GPT-2 sgd 1.03
to 1.09 in two runs and 1.06, adamw 0.99 and 0.77; ResNet-50 sgd 1.03 and 0.98, adamw 1.04 and 0.96,
nadam 1.01 and 0.98, rprop 0.95 and 0.87; 1,000 leaves sgd 0.91 and 1.02, adamw 1.02 and 0.80, rprop
1.04 and 0.90, nadam 1.00 and 0.73. PyTorch's fused AdamW took 0.6 of optax's time, its for-loop 1.9
to 3.4 times. All optimizers at GPT-2's size take more than five minutes.
"""

from __future__ import annotations

import dataclasses
import gc
import inspect
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jaxaccel as ja

Shapes = Literal["gpt2", "resnet50", "small"]

LR = 1e-3


class Contenders(NamedTuple):
    """An optimizer, its namesake, and PyTorch's class with its arguments."""

    ours: Callable[[], Any]
    optax: Callable[[], Any]
    torch_class: Any
    kwargs: Mapping[str, Any] = MappingProxyType({})
    matrices_only: bool = False


J, T = ja.optimizers, torch.optim
NAMESAKES = {
    "sgd": Contenders(
        lambda: J.sgd(LR, momentum=0.9), lambda: optax.sgd(LR, 0.9), T.SGD, {"momentum": 0.9}
    ),
    "adam": Contenders(lambda: J.adam(LR), lambda: optax.adam(LR), T.Adam),
    "adamw": Contenders(lambda: J.adamw(LR), lambda: optax.adamw(LR, weight_decay=1e-2), T.AdamW),
    "adamax": Contenders(lambda: J.adamax(LR), lambda: optax.adamax(LR), T.Adamax),
    "nadam": Contenders(lambda: J.nadam(LR), lambda: optax.nadam(LR), T.NAdam),
    "radam": Contenders(lambda: J.radam(LR), lambda: optax.radam(LR), T.RAdam),
    "adagrad": Contenders(lambda: J.adagrad(LR), lambda: optax.adagrad(LR), T.Adagrad),
    "adadelta": Contenders(lambda: J.adadelta(LR), lambda: optax.adadelta(LR), T.Adadelta),
    "rmsprop": Contenders(lambda: J.rmsprop(LR), lambda: optax.rmsprop(LR), T.RMSprop),
    "rprop": Contenders(lambda: J.rprop(LR), lambda: optax.rprop(LR), T.Rprop),
    "adafactor": Contenders(
        lambda: J.adafactor(LR),
        lambda: optax.adafactor(LR, min_dim_size_to_factor=1, weight_decay_rate=None),
        T.Adafactor,
    ),
    "muon": Contenders(
        lambda: J.muon(LR),
        lambda: optax.contrib.muon(LR, weight_decay=0.1),
        T.Muon,
        matrices_only=True,
    ),
}
"""ASGD, LBFGS and SparseAdam have no namesake; ``sparse_adam.py`` times the last."""


@dataclasses.dataclass
class Args:
    """What to time."""

    shapes: tuple[Shapes, ...] = ("gpt2", "resnet50", "small")
    """GPT-2 124M, ResNet-50, and 1,000 leaves of 64 numbers."""
    optimizers: tuple[str, ...] = tuple(NAMESAKES)
    """Which optimizers."""
    rounds: int = 15
    """Rounds that count, after two that do not."""
    compile_rounds: int = 5
    """Times that each step is built and compiled."""
    with_torch: bool = True
    """Time PyTorch's for-loop, foreach and fused steps too."""


def main(args: Args) -> None:
    """Print a table per set of shapes."""
    torch.manual_seed(0)
    for shapes in args.shapes:
        table = Table("optimizer", "contender", "step ms", "ratio", "compile s", "ratio")
        for name in track(args.optimizers, description=shapes):
            for row in time_one(name, leaves_of(shapes), args):
                table.add_row(name, *row)
        Console(width=100).print(f"{shapes}: ratios to optax", table)


def time_one(name: str, shapes: list[tuple[int, ...]], args: Args) -> list[tuple[str, ...]]:
    """Return rows (contender, milliseconds, ratio, compile seconds, ratio)."""
    ours, namesake, torch_class, kwargs, matrices_only = NAMESAKES[name]
    if matrices_only:
        shapes = [shape for shape in shapes if len(shape) == 2]
    if not shapes:
        return []
    compile_seconds: dict[str, list[float]] = {"jaxaccel": [], "optax": []}
    factories = {"jaxaccel": ours, "optax": namesake}
    compiled: dict[str, Any] = {}
    for _ in range(args.compile_rounds):
        for contender, factory in factories.items():
            seconds, compiled[contender] = build(factory, shapes)
            compile_seconds[contender].append(seconds)
    runs = {
        contender: jax_run(factories[contender](), step, shapes)
        for contender, step in compiled.items()
    }
    like = jnp.zeros((64, 64))
    slots = round(sum(leaf.size for leaf in jax.tree.leaves(ours().init(like))) / like.size)
    runs["copy"] = copy_run(shapes, reads=2 + slots, writes=1 + slots)
    if args.with_torch:
        accepted = inspect.signature(torch_class).parameters
        switch = {"foreach": False} if "foreach" in accepted else {}
        runs["torch for-loop"] = torch_run(torch_class, {**kwargs, **switch}, shapes)
        for how in {"foreach", "fused"} & accepted.keys():
            runs[f"torch {how}"] = torch_run(torch_class, {**kwargs, how: True}, shapes)
    medians = {key: 1e3 * value for key, value in in_turns(runs, args.rounds).items()}
    compiles = {key: float(np.median(value)) for key, value in compile_seconds.items()}
    rows = []
    for contender, median in medians.items():
        row = [contender, f"{median:.2f}", f"{median / medians['optax']:.2f}"]
        if contender in compiles:
            seconds = compiles[contender]
            row += [f"{seconds:.2f}", f"{seconds / compiles['optax']:.2f}"]
        rows.append(tuple(row))
    return rows


def build(factory: Callable[[], Any], shapes: list[tuple[int, ...]]) -> tuple[float, Any]:
    """Return the seconds that tracing and compiling a donated step takes, and the step."""
    jax.clear_caches()
    gc.collect()  # or it falls on whoever's turn it happens to be
    params = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    begin = time.perf_counter()
    tx = factory()

    # Donated buffers go to the outputs in order: arguments in another one would be copied around.
    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = jax.eval_shape(tx.init, params)
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()
    return time.perf_counter() - begin, compiled


def jax_run(tx: Any, step: Any, shapes: list[tuple[int, ...]]) -> Callable[[], None]:
    """Return a function that takes one compiled step."""
    params, grads = draw(shapes, 0), draw(shapes, 1)
    state = tx.init(params)

    def once() -> None:
        nonlocal params, state
        params, state = jax.block_until_ready(step(params, state, grads))

    return once


def copy_run(shapes: list[tuple[int, ...]], reads: int, writes: int) -> Callable[[], None]:
    """Return a function that reads and writes as many arrays of these shapes."""
    sources = [draw(shapes, seed) for seed in range(reads)]

    @jax.jit
    def copy(sources: Any) -> Any:
        rest = jax.tree.map(lambda *leaves: sum(leaves[1:], leaves[0]), *sources[writes - 1 :])
        return [[leaf + 1 for leaf in source] for source in sources[: writes - 1]] + [rest]

    def once() -> None:
        nonlocal sources
        jax.block_until_ready(copy(sources))

    return once


def torch_run(
    torch_class: Any, kwargs: dict[str, Any], shapes: list[tuple[int, ...]]
) -> Callable[[], None]:
    """Return a function that takes one step of ``torch.optim``."""
    tensors = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for tensor in tensors:
        tensor.grad = torch.randn_like(tensor)
    return torch_class(tensors, lr=LR, **kwargs).step


def in_turns(runs: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each run; all take their turn in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(2 + rounds):
        for name, once in runs.items():
            begin = time.perf_counter()
            once()
            seconds[name].append(time.perf_counter() - begin)
    return {name: float(np.median(times[2:])) for name, times in seconds.items()}


def draw(shapes: list[tuple[int, ...]], seed: int) -> list[jax.Array]:
    """Return normal float32 arrays."""
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes]


def leaves_of(shapes: Shapes) -> list[tuple[int, ...]]:
    """Return the shape of every parameter."""
    if shapes == "small":
        return [(64,)] * 1000
    if shapes == "gpt2":
        width, block = 768, [(768,), (768,)]
        block = [
            *block * 2,
            *[(width, 3 * width), (3 * width,), (width, width), (width,)],
            *[(width, 4 * width), (4 * width,), (4 * width, width), (width,)],
        ]
        return [(50257, width), (1024, width), *block * 12, (width,), (width,)]
    return resnet50()


def resnet50() -> list[tuple[int, ...]]:
    """Return the parameter shapes of ResNet-50, kernels in flax's layout."""
    shapes: list[tuple[int, ...]] = [(7, 7, 3, 64), (64,), (64,)]
    inputs = 64
    for width, depth in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(depth):
            kernels = [(1, 1, inputs, width), (3, 3, width, width), (1, 1, width, 4 * width)]
            if block == 0:
                kernels.append((1, 1, inputs, 4 * width))
            for kernel in kernels:
                shapes += [kernel, (kernel[-1],), (kernel[-1],)]
            inputs = 4 * width
    return [*shapes, (inputs, 1000), (1000,)]


if __name__ == "__main__":
    main(tyro.cli(Args))
