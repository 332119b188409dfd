"""Moving windows over one axis, what the pools are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._spatial import Window


def output_sizes(input: jax.Array, pool: tuple[Window, ...], ceil_mode: bool) -> tuple[int, ...]:
    """Return the spatial sizes of a pool's output, for an input with a batch axis."""
    axes = len(pool)
    if input.ndim != axes + 2 or 0 in input.shape[1:]:
        raise ValueError(
            f"non-empty {axes + 1}D or {axes + 2}D (batch mode) tensor expected for input, "
            f"got {input.ndim}D input of shape {input.shape}"
        )
    _, *spatial, channels = input.shape
    sizes = tuple(
        _output_size(size, window, ceil_mode) for size, window in zip(spatial, pool, strict=True)
    )
    if min(sizes) < 1:
        given, calculated = ("x".join(map(str, (channels, *s))) for s in (spatial, sizes))
        raise ValueError(
            f"Given input size: ({given}). Calculated output size: ({calculated}). "
            "Output size is too small"
        )
    return sizes


def lowest_of(name: str, input: jax.Array) -> Any:
    """Return what is below all values of an array, or raise where they have no order."""
    if jnp.issubdtype(input.dtype, jnp.floating):
        return -jnp.inf
    if jnp.issubdtype(input.dtype, jnp.integer):
        return jnp.iinfo(input.dtype).min
    raise TypeError(
        f"{name}() takes floating-point numbers or integers, got an input of {input.dtype}; "
        "input.astype(jnp.float32) converts it"
    )


def fold(
    x: jax.Array,
    axis: int,
    window: Window,
    size: int,
    fill: Any,
    combine: Callable[[jax.Array, jax.Array], jax.Array],
) -> jax.Array:
    """Combine the points of each window, first to last; ``fill`` is what the padding holds.

    Strided slices, and not ``lax.reduce_window``: its gradient is up to 70 times slower on a CPU,
    is missing for dilated windows and knows no NaN.
    """
    last = (size - 1) * window.stride
    after = last + window.reach - x.shape[axis] - window.padding
    if window.padding or after:
        config = [(0, 0, 0)] * x.ndim
        config[axis] = (window.padding, after, 0)
        x = jax.lax.pad(x, jnp.asarray(fill, x.dtype), config)
    points = (
        jax.lax.slice_in_dim(x, start, start + last + 1, window.stride, axis)
        for start in range(0, window.reach, window.dilation)
    )
    return functools.reduce(combine, points)


def larger(best: jax.Array, new: jax.Array) -> jax.Array:
    """Return the larger value, the first of equals, NaN before all."""
    return jnp.where((new > best) | (new != new), new, best)


def _output_size(size: int, window: Window, ceil_mode: bool) -> int:
    """Return how many windows fit; rounded up, the last must start before the end padding."""
    steps = size + 2 * window.padding - window.reach
    if not ceil_mode:
        return steps // window.stride + 1
    count = -(-steps // window.stride) + 1
    if (count - 1) * window.stride >= size + window.padding:
        count -= 1
    return count
