"""Moving windows over one axis, what the pooling layers are made of."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

_COUNTS = ("one int", "two ints", "three ints")
_AXES = ("T", "H", "W")


class Window(NamedTuple):
    """A window that moves along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """From the first point to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1


def windows(
    name: str,
    axes: int,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None,
    padding: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
) -> tuple[Window, ...]:
    """Return the checked windows of a pool's axes, with PyTorch's texts."""
    arguments = {
        "kernel_size": kernel_size,
        "stride": kernel_size if stride is None else stride,
        "padding": padding,
        "dilation": dilation,
    }
    numbers = (_each(name, key, value, axes) for key, value in arguments.items())
    found = tuple(Window(*of_axis) for of_axis in zip(*numbers, strict=True))
    if name == "max_pool1d":
        _check_max_pool1d(*found)
    else:
        _check(found)
    return found


def _each(name: str, key: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """Return one number for each axis."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    if len(numbers) not in (1, axes):
        either = "either be omitted," if key == "stride" else "either be"
        raise ValueError(
            f"{name}: {key} must {either} a single int, or a tuple of {_COUNTS[axes - 1]}"
        )
    return numbers if len(numbers) == axes else numbers * axes


def _check(windows: tuple[Window, ...]) -> None:
    """Raise for numbers that make no window."""
    # PyTorch averages over one axis as over the two of an image one pixel high, and says so.
    shown = (Window(1, 1, 0, 1), *windows) if len(windows) == 1 else windows

    def listed(prefix: str, numbers: Iterable[int]) -> str:
        return " ".join(
            f"{prefix}{axis}: {number}"
            for axis, number in zip(_AXES[-len(shown) :], numbers, strict=True)
        )

    kernels, strides, _, dilations = zip(*shown, strict=True)
    if 0 in strides:
        raise ValueError("stride should not be zero")
    if min(kernels) <= 0:
        raise ValueError(f"kernel size should be greater than zero, but got {listed('k', kernels)}")
    if min(strides) <= 0:
        raise ValueError(f"stride should be greater than zero, but got {listed('d', strides)}")
    if min(dilations) <= 0:
        raise ValueError(
            f"dilation should be greater than zero, but got {listed('dilation', dilations)}"
        )
    for window in windows:
        if window.padding < 0:
            raise ValueError(f"pad must be non-negative, but got pad: {window.padding}")
        if 2 * window.padding > window.reach:
            raise ValueError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={window.padding}, kernel_size={window.kernel} and dilation={window.dilation}"
            )


def _check_max_pool1d(window: Window) -> None:
    """Raise for numbers that make no window; here a dilation does not make room for padding."""
    for key, number in (
        ("kernel_size", window.kernel),
        ("stride", window.stride),
        ("dilation", window.dilation),
    ):
        if number <= 0:
            raise ValueError(f"max_pool1d() {key} must be greater than zero, but got {number}")
    if window.padding < 0:
        raise ValueError(f"max_pool1d() padding must be non-negative, but got {window.padding}")
    if 2 * window.padding > window.kernel:
        raise ValueError(
            "max_pool1d() padding should be at most half of kernel size, but got "
            f"padding={window.padding} and kernel_size={window.kernel}"
        )


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
