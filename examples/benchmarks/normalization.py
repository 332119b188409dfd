"""Count the passes that normalization makes over its input, beside flax's fast path.

    python examples/benchmarks/normalization.py
    python examples/benchmarks/normalization.py --compiler cpu --dtypes float32

flax's default variance, E[x^2] - E[x]^2 (``use_fast_variance=True``), reads the input once less
than a variance in two passes, and is all noise where the mean is large. This compiles both and
prints the bytes that the compiled program accesses, over those of the input. The TPU compiler needs
no TPU (``pip install jaxaccel[aot]``). The promise is at most one pass more than flax's fast path.

The inputs are larger than a TPU's on-chip memory, into which the compiler would copy smaller ones;
it counts those copies too. Of batch normalization it counts what runs where the running mean is
near that of the batch.

For v5e (jax 0.10.2, flax 0.12.8), passes of jaxaccel and of flax, forward and forward + backward:
batch_norm 3 and 3, 7 and 8 in float32, 8 and 7 in bfloat16; group_norm 4 and 3, 7 and 8 in float32,
7 and 7 in bfloat16; layer_norm 4 and 3, 8 and 7; rms_norm 3 and 3, 7 and 7.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import sys
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import _timing as timing
import flax.linen as linen
import jax
import jax.numpy as jnp
import tyro
from _steps import bytes_moved
from rich.progress import track

import jaxaccel as ja

ALLOWED = 1.1
"""Passes more than flax's: one, and what the statistics and parameters take."""


@dataclasses.dataclass
class Args(timing.Output):
    """What to compile, and for what."""

    compiler: Literal["tpu", "cpu"] = "tpu"
    """Whose figures; the TPU's needs libtpu, and the CPU's stand in without it."""
    topology: str = "tpu:v5e:1x1"
    """The TPU, a name that ``ja.aot.topology_devices`` knows; one chip of it is used."""
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    """Of the input; parameters and statistics are float32."""
    images: tuple[int, ...] = (256, 56, 56, 256)
    """The input of batch and group normalization, channels last."""
    tokens: tuple[int, ...] = (512, 512, 1024)
    """The input of layer and RMS normalization."""


class Contest(NamedTuple):
    """Functions of (input, weight, bias), and the shape of the input."""

    ours: Callable[..., jax.Array]
    flax: Callable[..., jax.Array]
    shape: tuple[int, ...]


def main(args: Args) -> None:
    """Print a table; fail where jaxaccel needs more than one pass more on a TPU."""
    if args.smoke:
        args = dataclasses.replace(args, compiler="cpu", images=(2, 4, 4, 32), tokens=(2, 4, 32))
    device = tpu_device(args.topology) if args.compiler == "tpu" else None
    where = "CPU" if device is None else args.topology
    rows: list[timing.Row] = []
    behind = []
    contests = [
        (name, contest, dtype)
        for dtype in args.dtypes
        for name, contest in contests_of(args, dtype).items()
    ]
    for name, (ours, flax, shape), dtype in track(contests, description=f"compiling for {where}"):
        for of, wrap in (("forward", forward), ("forward + backward", forward_and_backward)):
            own, theirs = (passes(wrap(f), shape, dtype, device) for f in (ours, flax))
            row = {"function": name, "input": dtype, "of": of, "jaxaccel": own, "flax": theirs}
            rows.append(row | {"difference": own - theirs})
            if own > theirs + ALLOWED:
                behind.append(f"{name} {dtype} {of}")
    title = f"{where}: bytes accessed, over those of the input"
    timing.report(args, [timing.Table(title, rows)])
    if behind and device is not None:
        sys.exit(f"more than one pass over flax's fast path: {', '.join(behind)}")


def tpu_device(topology: str) -> Any:
    """Return a TPU that need not be there to compile for; None without its compiler."""
    if importlib.util.find_spec("libtpu") is None:
        print(
            "libtpu, the TPU compiler, is not installed (pip install jaxaccel[aot]): "
            "these are the CPU compiler's figures, which the promise is not about."
        )
        return None
    return ja.aot.topology_devices(topology)[0]


def contests_of(args: Args, dtype: str) -> dict[str, Contest]:
    """Return the functions to compare."""
    groups, n = 32, ja.functional

    def batch_norm(x: jax.Array, weight: jax.Array, bias: jax.Array) -> Any:
        mean, var = jnp.zeros_like(weight), jnp.ones_like(weight)
        return n.batch_norm(x, mean, var, weight, bias, training=True).output

    def flax_batch_norm(x: jax.Array, weight: jax.Array, bias: jax.Array) -> Any:
        layer = linen.BatchNorm(use_running_average=False, use_fast_variance=True, dtype=dtype)
        statistics = {"mean": jnp.zeros_like(weight), "var": jnp.ones_like(weight)}
        variables = {"params": {"scale": weight, "bias": bias}, "batch_stats": statistics}
        return layer.apply(variables, x, mutable=["batch_stats"])[0]

    def of_layer(layer: Any, *names: str) -> Callable[..., Any]:
        def function(x: jax.Array, *parameters: jax.Array) -> Any:
            return layer.apply({"params": dict(zip(names, parameters, strict=False))}, x)

        return function

    fast: dict[str, Any] = {"use_fast_variance": True, "dtype": dtype}
    width = args.tokens[-1:]
    return {
        "batch_norm": Contest(batch_norm, flax_batch_norm, args.images),
        "group_norm": Contest(
            lambda x, weight, bias: n.group_norm(x, groups, weight, bias),
            of_layer(linen.GroupNorm(groups, **fast), "scale", "bias"),
            args.images,
        ),
        "layer_norm": Contest(
            lambda x, weight, bias: n.layer_norm(x, width, weight, bias),
            of_layer(linen.LayerNorm(**fast), "scale", "bias"),
            args.tokens,
        ),
        "rms_norm": Contest(
            lambda x, weight, bias: n.rms_norm(x, width, weight),
            of_layer(linen.RMSNorm(**fast), "scale"),
            args.tokens,
        ),
    }


def forward(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function without the last of its arguments."""
    return lambda x, weight, bias, cotangent: function(x, weight, bias)


def forward_and_backward(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that gives the output and all gradients."""

    def run(x: jax.Array, weight: jax.Array, bias: jax.Array, cotangent: jax.Array) -> Any:
        output, pullback = jax.vjp(function, x, weight, bias)
        return output, pullback(cotangent)

    return run


def passes(function: Any, shape: tuple[int, ...], dtype: str, device: Any) -> float:
    """Return the bytes that the compiled function accesses, over those of its input."""
    sharding = None if device is None else jax.sharding.SingleDeviceSharding(device)

    def argument(shape: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    x, parameter = argument(shape, jnp.dtype(dtype)), argument(shape[-1:], jnp.float32)
    compiled = jax.jit(function).lower(x, parameter, parameter, x).compile()
    return bytes_moved(compiled) / (math.prod(shape) * x.dtype.itemsize)


if __name__ == "__main__":
    main(tyro.cli(Args))
