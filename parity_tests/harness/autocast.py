"""Functions inside ``precision.autocast`` and inside ``torch.autocast``: one row, both sides.

A row's ``operation`` is PyTorch's name, as in its lists; ``ours`` and ``theirs`` take the arrays,
in PyTorch's layout, of which the first ``low`` come out of a product in half precision, as
activations do. ``options``: ``values``, what the first array is of (``positive`` numbers, a
``definite`` or a ``far`` from singular matrix); ``far``, why the two are further apart than the
test allows; ``twice``, what rounds once more than PyTorch; ``sums``, of what float32 results are
made that are no more exact than half precision; ``units``, how many of them results may be apart,
if not one; ``dtype_only``, why nothing else is compared; ``dtypes``, the half precisions that
PyTorch has it in, if not both.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from jaxaccel.precision import autocast

TORCH = {"bfloat16": torch.bfloat16, "float16": torch.float16}
EXACT = {"xla_allow_excess_precision": False}
"""What is rounded is rounded: XLA leaves out casts to half precision and back otherwise."""


class Row(NamedTuple):
    """One function on both sides."""

    operation: str
    why: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: int = 1
    options: Mapping[str, Any] = {}

    @property
    def id(self):
        return f"{self.operation} {self.why}".strip().replace(" ", "-")


class Result(NamedTuple):
    """Outputs and the gradients of all arrays, as NumPy has them; dtypes of the outputs by name."""

    outputs: list[np.ndarray]
    gradients: list[np.ndarray]
    dtypes: list[str]


def arrays_of(row):
    """Return the arrays, random numbers that both half precisions hold."""
    rng = np.random.default_rng(len(row.id))
    arrays = [rng.normal(size=shape) for shape in row.shapes]
    if "values" in row.options:
        arrays[0] = _VALUES[row.options["values"]](arrays[0])
    return [a.astype(jnp.bfloat16).astype(np.float32) for a in arrays]


_VALUES = {
    "positive": lambda x: np.abs(x) + 0.125,
    "inside": lambda x: x / 8,
    "far": lambda x: x / 8 + np.eye(4),
    "definite": lambda x: (x + np.swapaxes(x, -1, -2)) / 16 + np.eye(4),
}


def inside(row, is_low):
    """Return what runs inside the region: activations come out of a product."""

    def ours(*arrays):
        count = row.low if is_low else 0
        low = [jnp.matmul(a, jnp.eye(a.shape[-1], dtype=a.dtype)) for a in arrays[:count]]
        outputs = row.ours(*low, *arrays[count:])
        return outputs if isinstance(outputs, tuple) else (outputs,)

    return ours


def our_dtypes(row, device_type, dtype, is_low):
    """Return the dtypes of the outputs; nothing is compiled."""
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in row.shapes]
    run = autocast(inside(row, is_low), device_type, dtype)
    return [each.dtype.name for each in jax.eval_shape(run, *arrays)]


def run_torch(row, dtype=None, is_low=True):
    """Return PyTorch's result inside a region, or in double precision without ``dtype``."""
    wide = torch.float32 if dtype else torch.float64
    is_moved = "dtype_only" not in row.options
    arrays = [torch.tensor(a).to(wide).requires_grad_(is_moved) for a in arrays_of(row)]
    with torch.autocast("cpu", TORCH[dtype or "bfloat16"], enabled=dtype is not None):
        count = row.low if is_low else 0
        low = [torch.matmul(a, torch.eye(a.shape[-1], dtype=wide)) for a in arrays[:count]]
        outputs = row.theirs(*low, *arrays[count:])
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    floats = [o for o in outputs if o.requires_grad]
    if floats:
        torch.autograd.backward(floats, [torch.tensor(c).to(o) for o, c in _pairs(row, floats)])
    return Result(
        [o.detach().double().numpy() for o in outputs if is_moved],
        [np.zeros(a.shape) if a.grad is None else a.grad.double().numpy() for a in arrays],
        [str(o.dtype).removeprefix("torch.") for o in outputs],
    )


def _pairs(row, outputs):
    """Return each output with its cotangent."""
    rng = np.random.default_rng(1)
    drawn = [rng.normal(size=tuple(o.shape)) for o in outputs]
    return [
        (o, c.astype(jnp.bfloat16).astype(np.float32)) for o, c in zip(outputs, drawn, strict=True)
    ]


AT_ONCE = 24
"""How many rows are one program: of more the compiler takes longer for each."""


def run_jax(rows, device_type, dtype, options=None):
    """Return our results of many rows, some at a time."""
    blocks = [rows[start : start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
    return [each for rows in blocks for each in _run_block(rows, device_type, dtype, options)]


def _run_block(rows, device_type, dtype, options):
    """Return our results of some rows, which are one compiled program."""

    @functools.partial(jax.jit, compiler_options=options)
    def run(everything):
        results = []
        for row, arrays in zip(rows, everything, strict=True):
            function = autocast(inside(row, True), device_type, dtype)
            outputs, pullback = jax.vjp(function, *arrays)
            moving = [o for o in outputs if jnp.issubdtype(o.dtype, jnp.floating)]
            cotangents = iter([jnp.asarray(c, o.dtype) for o, c in _pairs(row, moving)])
            given = tuple(
                next(cotangents)
                if jnp.issubdtype(o.dtype, jnp.floating)
                else np.zeros(o.shape, jax.dtypes.float0)
                for o in outputs
            )
            results.append((outputs, pullback(given)))
        return results

    found = run([[jnp.asarray(a) for a in arrays_of(row)] for row in rows])
    return [
        Result(
            [np.asarray(o, np.float64) for o in outputs],
            [np.asarray(g, np.float64) for g in gradients],
            [o.dtype.name for o in outputs],
        )
        for outputs, gradients in found
    ]
