"""Time a convolution's forward pass and both gradients beside XLA's own form and PyTorch.

    python examples/benchmarks/convolution.py
    python examples/benchmarks/convolution.py --cores 1 --batch 128

The shapes are those of a ResNet-10 on CIFAR-10, of the widths 16, 32 and 64. XLA's own is
``jax.lax.conv_general_dilated`` and what JAX makes of its transposes; ours differs from it in the
weight's gradient, on CPUs. The limit is the rate of a large product of matrices.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import _timing as timing
import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

import jaxaccel as ja


class Shape(NamedTuple):
    """A layer: the images' height and width, channels, window and stride."""

    size: int
    inputs: int
    outputs: int
    window: int
    stride: int

    def __str__(self) -> str:
        channels = f"{self.inputs} -> {self.outputs}"
        return f"{self.size}^2, {channels}, {self.window}x{self.window} / {self.stride}"


@dataclasses.dataclass
class Args(timing.Options):
    """Options."""

    widths: tuple[int, ...] = (16, 32, 64)
    """Of the ResNet-10s."""
    batch: int = 64
    """Images."""


def main(args: Args) -> None:
    """Print a table per width."""
    if args.smoke:
        args = dataclasses.replace(args, widths=(4,), batch=2)
    timing.start(args)
    limits = timing.limits(args.smoke)
    timing.report(args, (table(width, args, limits) for width in args.widths))


def table(width: int, args: Args, limits: timing.Limits) -> timing.Table:
    """Return a row per layer."""
    shapes = shapes_of(width)[: 2 if args.smoke else None]
    title = f"layers of a ResNet-10 of width {width}, batch {args.batch}"
    return timing.Table(title, [row(shape, args, limits) for shape in shapes])


def shapes_of(width: int) -> list[Shape]:
    """Return the layers of a ResNet-10 that take most of its time."""
    stages = [width * 2**stage for stage in range(4)]
    found = [Shape(32 // 2**i, c, c, 3, 1) for i, c in enumerate(stages)]
    for i, (c, twice) in enumerate(itertools.pairwise(stages)):
        found += [Shape(32 // 2**i, c, twice, 3, 2), Shape(32 // 2**i, c, twice, 1, 2)]
    return found


def row(shape: Shape, args: Args, limits: timing.Limits) -> timing.Row:
    """Return the times of a layer: of the pass forward, and of each gradient by itself."""
    rng, pad = np.random.default_rng(0), shape.window // 2
    reduced = -(-shape.size // shape.stride)
    x = rng.normal(size=(args.batch, shape.size, shape.size, shape.inputs)).astype(np.float32)
    w = rng.normal(size=(shape.window, shape.window, shape.inputs, shape.outputs))
    dy = rng.normal(size=(args.batch, reduced, reduced, shape.outputs)).astype(np.float32)
    arrays = [jnp.asarray(array, jnp.float32) for array in (x, w, dy)]
    stride, found = (shape.stride,) * 2, {"layer": str(shape)}

    def ours(x: Any, w: Any) -> Any:
        return ja.functional.conv2d(x, w, stride=shape.stride, padding=pad)

    def xlas(x: Any, w: Any) -> Any:
        axes = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, stride, [(pad, pad)] * 2, dimension_numbers=axes)

    theirs = torch_runs(shape, x, w.astype(np.float32), dy, pad)
    seconds = limits.seconds(flops=2 * math.prod(w.shape) * args.batch * reduced**2)
    for kind, run in theirs.items():
        runs = {"jaxaccel": jax_run(kind, ours, arrays), "XLA": jax_run(kind, xlas, arrays)}
        times = timing.in_turns({**runs, "torch": run}, args.rounds)
        ours_alone = timing.rows_of(times, ["XLA", "torch"], seconds)[0]
        for column in ("ms", "/ XLA", "/ torch", "/ limit"):
            found[f"{kind} {column}"] = ours_alone[column]
    return found


def jax_run(kind: str, function: Any, arrays: list[jax.Array]) -> timing.Run:
    """Return the compiled pass."""

    def compute(x: Any, w: Any, dy: Any) -> Any:
        if kind == "forward":
            return function(x, w)
        if kind == "input gradient":
            return jax.vjp(lambda x: function(x, w), x)[1](dy)
        return jax.vjp(lambda w: function(x, w), w)[1](dy)

    compiled = jax.jit(compute)
    return lambda: compiled(*arrays)


def torch_runs(
    shape: Shape, x: np.ndarray, w: np.ndarray, dy: np.ndarray, pad: int
) -> dict[str, timing.Run]:
    """Return PyTorch's passes, in its own layout."""
    image, output = (torch.tensor(a).permute(0, 3, 1, 2).contiguous() for a in (x, dy))
    weight = torch.tensor(w).permute(3, 2, 0, 1).contiguous()
    where: dict[str, Any] = {"stride": shape.stride, "padding": pad}
    gradient = torch.nn.grad
    return {
        "forward": lambda: torch.nn.functional.conv2d(image, weight, **where),
        "input gradient": lambda: gradient.conv2d_input(image.shape, weight, output, **where),
        "weight gradient": lambda: gradient.conv2d_weight(image, weight.shape, output, **where),
    }


if __name__ == "__main__":
    main(tyro.cli(Args, description=__doc__))
