"""Time an optimizer's compiled step beside optax's namesake, PyTorch's own, and a plain copy.

    python examples/benchmarks/optimizer_step.py
    python examples/benchmarks/optimizer_step.py --shapes resnet50 --optimizers adamw sgd
    python examples/benchmarks/optimizer_step.py --compiler v5e --optimizers adamw adafactor

The step is jitted and donates parameters and state. The limit is a copy, in place, of the bytes
that a step must at least read and write: parameters, gradients and state. All optimizers at GPT-2's
size take more than five minutes. ``packed`` is the step on ``training.packed`` parameters and their
gradients, which a packed run has so.

With ``--compiler`` nothing runs: the vendor's compiler (the extra ``aot``; no TPU is needed) says
how many bytes the step moves for each parameter. AdamW must move 28: it reads parameter, gradient
and two moments, and writes all but the gradient, 4 bytes each.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro
from rich.progress import track

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

NEED_SHAPES = ("adafactor", "muon")
"""What parameters cannot be packed for."""

WRAPPED = {
    "accumulate_gradients(adamw, 4)": (
        lambda: ja.transforms.accumulate_gradients(J.adamw(LR), 4),
        lambda: optax.MultiSteps(optax.adamw(LR), 4).gradient_transformation(),
    )
}
"""What a compiler is also asked about; its figures count the branch that is rarely taken."""

TOPOLOGIES = {"v5e": "tpu:v5e:1x1", "v6e": "tpu:v6e:1x1"}


@dataclasses.dataclass
class Args(timing.Options):
    """What to time."""

    shapes: tuple[Shapes, ...] = ("gpt2", "resnet50", "small")
    """GPT-2 124M, ResNet-50, and 1,000 leaves of 64 numbers."""
    optimizers: tuple[str, ...] = tuple(NAMESAKES)
    """Which optimizers."""
    compile_rounds: int = 5
    """Times that each step is built and compiled."""
    with_torch: bool = True
    """Time PyTorch's for-loop, foreach and fused steps too."""
    compiler: Literal["v5e", "v6e"] | None = None
    """Compile for this TPU instead of taking times."""


def main(args: Args) -> None:
    """Print a table per set of shapes."""
    if args.smoke:
        args = dataclasses.replace(args, compile_rounds=1, optimizers=("adamw", "sgd"))
        args = dataclasses.replace(args, shapes=("small",))
    timing.start(args)
    torch.manual_seed(0)
    make = figures if args.compiler else times
    timing.report(args, (make(shapes, args) for shapes in args.shapes))


# ----------------------------------------------------------------------------------------- times


def times(shapes: Shapes, args: Args) -> timing.Table:
    """Return the table of a set of shapes."""
    found = [
        {"optimizer": name} | row
        for name in track(args.optimizers, description=shapes)
        for row in time_one(name, leaves_of(shapes, args.smoke), args)
    ]
    return timing.Table(f"{shapes}: one step", found)


def time_one(name: str, shapes: list[tuple[int, ...]], args: Args) -> list[timing.Row]:
    """Return the rows of an optimizer."""
    ours, namesake, torch_class, kwargs, matrices_only = NAMESAKES[name]
    if matrices_only:
        shapes = [shape for shape in shapes if len(shape) == 2]
    if not shapes:
        return []
    factories = {"jaxaccel": (ours, list), "optax": (namesake, list)}
    if name not in NEED_SHAPES:
        factories["jaxaccel, packed"] = (ours, ja.training.packed)
    builds = {
        key: lambda make=make, pack=pack: build(make(), shapes, pack)
        for key, (make, pack) in factories.items()
    }
    compiling, compiled = timing.compile_in_turns(builds, args.compile_rounds)
    runs = {
        key: jax_run(make(), compiled[key], shapes, pack) for key, (make, pack) in factories.items()
    }
    like = jnp.zeros((64, 64))
    slots = round(sum(leaf.size for leaf in jax.tree.leaves(ours().init(like))) / like.size)
    count = sum(int(np.prod(shape)) for shape in shapes)
    runs["copy"] = timing.copy_run(4 * count * (3 + 2 * slots))
    fused = ""
    if args.with_torch:
        accepted = inspect.signature(torch_class).parameters
        switch = {"foreach": False} if "foreach" in accepted else {}
        runs["torch for-loop"] = torch_run(torch_class, {**kwargs, **switch}, shapes)
        for how in ("foreach", "fused"):
            if how in accepted:
                runs[f"torch {how}"] = torch_run(torch_class, {**kwargs, how: True}, shapes)
        fused = list(runs)[-1]  # the fastest
    peers = [peer for peer in ("optax", "copy", fused) if peer]
    return timing.rows_of(timing.in_turns(runs, args.rounds), peers, compiling=compiling)


def build(tx: Any, shapes: list[tuple[int, ...]], pack: Any = list, sharding: Any = None) -> Any:
    """Return a donated step, traced and compiled; for the device of ``sharding``, if any."""
    params = on(sharding, jax.eval_shape(lambda: pack([jnp.zeros(shape) for shape in shapes])))

    # Donated buffers go to the outputs in order: arguments in another one would be copied around.
    def step(params: Any, state: Any, grads: Any) -> Any:
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = on(sharding, jax.eval_shape(tx.init, params))
    return jax.jit(step, donate_argnums=(0, 1)).lower(params, state, params).compile()


def on(sharding: Any, shapes: Any) -> Any:
    """Return shapes of arrays that are somewhere."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
    )


def jax_run(
    tx: Any, step: Any, shapes: list[tuple[int, ...]], pack: Any = list
) -> Callable[[], None]:
    """Return a function that takes one compiled step."""
    params, grads = pack(draw(shapes, 0)), pack(draw(shapes, 1))
    state = tx.init(params)

    def once() -> None:
        nonlocal params, state
        params, state = jax.block_until_ready(step(params, state, grads))

    return once


def torch_run(
    torch_class: Any, kwargs: dict[str, Any], shapes: list[tuple[int, ...]]
) -> Callable[[], None]:
    """Return a function that takes one step of ``torch.optim``."""
    tensors = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for tensor in tensors:
        tensor.grad = torch.randn_like(tensor)
    return torch_class(tensors, lr=LR, **kwargs).step


# ------------------------------------------------------------------------- the compilers' figures


def figures(shapes: Shapes, args: Args) -> timing.Table:
    """Return what the steps move on a TPU that need not be there, for each parameter."""
    (device,) = ja.aot.topology_devices(TOPOLOGIES[args.compiler or "v5e"])
    place = jax.sharding.SingleDeviceSharding(device)
    made = {name: NAMESAKES[name][:2] for name in args.optimizers}
    made |= WRAPPED if "adamw" in made else {}
    leaves, rows = leaves_of(shapes, args.smoke), []
    for name, pair in track(made.items(), description=shapes):
        wanted = [shape for shape in leaves if len(shape) == 2] if name == "muon" else leaves
        count = sum(int(np.prod(shape)) for shape in wanted)
        ours, theirs = (ja.aot.report(build(make(), wanted, list, place)) for make in pair)
        row: timing.Row = {"optimizer": name}
        if name not in NEED_SHAPES:
            packed = ja.aot.report(build(pair[0](), wanted, ja.training.packed, place))
            row["packed"] = packed.bytes_accessed / count
        rows.append(
            row
            | {
                "bytes a parameter": ours.bytes_accessed / count,
                "optax": theirs.bytes_accessed / count,
                "ratio": ours.bytes_accessed / theirs.bytes_accessed,
                "fusions": ours.fusions,
                "optax's fusions": theirs.fusions,
            }
        )
    return timing.Table(f"{shapes}, for {device.device_kind}, by its compiler", rows)


# --------------------------------------------------------------------------------------- shapes


def draw(shapes: list[tuple[int, ...]], seed: int) -> list[jax.Array]:
    """Return normal float32 arrays."""
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes]


def leaves_of(shapes: Shapes, smoke: bool = False) -> list[tuple[int, ...]]:
    """Return the shape of every parameter."""
    if shapes == "small":
        return [(64,)] * (10 if smoke else 1000)
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
