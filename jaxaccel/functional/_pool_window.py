"""Moving windows over one axis, what the pools are made of."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._spatial import Window


def output_sizes(
    name: str, input: jax.Array, pool: tuple[Window, ...], ceil_mode: bool
) -> tuple[int, ...]:
    """Return the spatial sizes of a pool's output, for an input with or without a batch axis."""
    _check_input(name, input.shape, len(pool))
    *spatial, channels = input.shape[-len(pool) - 1 :]
    sizes = tuple(
        _output_size(size, window, ceil_mode) for size, window in zip(spatial, pool, strict=True)
    )
    if min(sizes) < 1:
        if name == "max_pool1d":
            raise ValueError(f"max_pool1d() Invalid computed output size: {sizes[0]}")
        given, calculated = ("x".join(map(str, (channels, *s))) for s in (spatial, sizes))
        raise ValueError(
            f"Given input size: ({given}). Calculated output size: ({calculated}). "
            "Output size is too small"
        )
    return sizes


def _check_input(name: str, shape: tuple[int, ...], axes: int) -> None:
    """Raise PyTorch's text for an input that has no windows, which each pool has of its own."""
    without = shape[-axes - 1 :]
    if len(shape) in (axes + 1, axes + 2) and 0 not in without:
        return
    either = f"{axes + 1}D or {axes + 2}D (batch mode) tensor"
    text = f"Expected {either} with optional 0 dim batch size for input, but got:{[*shape]}"
    if name == "max_pool1d":
        text = f"{name}: {text}"
    elif len(shape) not in (axes + 1, axes + 2):
        text = f"non-empty {either} expected for input"
        if axes == 1:
            text = (
                f"Expected 2 to 3 dimensions, but got {len(shape)}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
    elif axes == 3:
        text = f"{name}(): Expected input's non-batch dimensions to have positive length"
    letters = ", ".join(("L", "HW", "DHW")[axes - 1])
    raise ValueError(
        f"{text}\nIt must be (N, {letters}, C) or ({letters}, C), channels last, got {shape}"
    )


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
    return functools.reduce(combine, _points(x, axis, window, size, fill))


def _points(x: jax.Array, axis: int, window: Window, size: int, fill: Any) -> Iterator[jax.Array]:
    """Return the first points of all windows, the second ones, and so on."""
    last = (size - 1) * window.stride
    after = last + window.reach - x.shape[axis] - window.padding
    if window.padding or after:
        config = [(0, 0, 0)] * x.ndim
        config[axis] = (window.padding, after, 0)
        x = jax.lax.pad(x, jnp.asarray(fill, x.dtype), config)
    for start in range(0, window.reach, window.dilation):
        yield jax.lax.slice_in_dim(x, start, start + last + 1, window.stride, axis)


def fold_with_places(
    x: jax.Array, places: jax.Array, axis: int, window: Window, size: int, lowest: Any
) -> tuple[jax.Array, jax.Array]:
    """Return the largest point of each window and its place; -1 is that of the padding."""

    def larger_of(
        best: tuple[jax.Array, jax.Array], new: tuple[jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array]:
        wins = (new[0] > best[0]) | (new[0] != new[0]) | (best[1] < 0)
        return jnp.where(wins, new[0], best[0]), jnp.where(wins, new[1], best[1])

    points = _points(x, axis, window, size, lowest)
    return functools.reduce(
        larger_of, zip(points, _points(places, axis, window, size, -1), strict=True)
    )


def places_in(x: jax.Array) -> jax.Array:
    """Return each point's place among those of its channel, row by row, for (N, ..., C)."""
    spatial = x.shape[1:-1]
    places = jnp.arange(math.prod(spatial)).reshape(spatial)
    return jnp.broadcast_to(places[None, ..., None], x.shape)


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
