"""Images looked up at any points."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._interpolate_taps import cubic_weights
from jaxaccel.functional._wide import check_floating


@checked
@operation("grid_sampler", low=None)
def grid_sample(
    input: jax.Array,
    grid: jax.Array,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> jax.Array:
    """Look images (or volumes) up at the points of a grid, channels last. In float32 at least.

    Args:
        input: (N, H, W, C), or (N, D, H, W, C), floating point.
        grid: (N, H', W', 2) or (N, D', H', W', 3), the points (x, y) or (x, y, z): -1 and 1 are the
            ends of the width, of the height, of the depth.
        mode: ``"bilinear"`` (of volumes too), ``"nearest"``, or of images ``"bicubic"``.
        padding_mode: What lies outside: ``"zeros"``, ``"border"`` (the outermost points) or
            ``"reflection"`` (the inside, mirrored again and again).
        align_corners: Whether -1 and 1 are the centers of the outermost points, rather than their
            outer edges; None for False.

    Returns:
        (N, H', W', C), or (N, D', H', W', C), in the input's dtype.

    Raises:
        ValueError: another ``mode`` or ``padding_mode``, or shapes that do not fit.
        TypeError: ``input`` is not floating point, or ``grid`` has another dtype.

    PyTorch:
        ``torch.nn.functional.grid_sample``: the same values and gradients, channels last. At a
        point that is NaN some of its kernels return NaN where zeros are outside; here it is 0.
        PyTorch raises ``RuntimeError``, and warns where ``align_corners`` is not given.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[[1.0], [3.0]]]])
        >>> grid = jnp.array([[[[-0.5, 0.0], [0.0, 0.0], [3.0, 0.0]]]])
        >>> ja.functional.grid_sample(x, grid).ravel().tolist()
        [1.0, 2.0, 0.0]

    References:
        Jaderberg et al. Spatial Transformer Networks. 2015. https://arxiv.org/abs/1506.02025
    """
    _check_words(mode, padding_mode)
    _check_shapes(input, grid, mode)
    dtype, aligned = compute_dtype(input.dtype), bool(align_corners)
    x, points, sizes = input.astype(dtype), grid.astype(dtype), input.shape[1:-1]
    # The grid counts from the last axis on.
    places = [
        _unnormalized(points[..., len(sizes) - 1 - axis], size, aligned)
        for axis, size in enumerate(sizes)
    ]

    def inside(place: jax.Array, size: int) -> jax.Array:
        return _padded(place, size, padding_mode, aligned)

    taps = [_TAPS[mode](place, size, inside) for place, size in zip(places, sizes, strict=True)]
    total = jnp.zeros((*grid.shape[:-1], input.shape[-1]), dtype)
    for corner in itertools.product(*taps):
        index, weights = zip(*corner, strict=True)
        weight = functools.reduce(operator.mul, weights)
        total = total + _points(x, index) * weight[..., None]
    return total.astype(input.dtype)


def _check_words(mode: str, padding_mode: str) -> None:
    """Raise PyTorch's texts for other words."""
    if mode not in _TAPS:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )


def _check_shapes(input: jax.Array, grid: jax.Array, mode: str) -> None:
    """Raise PyTorch's texts unless an input and a grid fit."""
    both = f"but got input with sizes {[*input.shape]} and grid with sizes {[*grid.shape]}"
    check_floating(input)
    if grid.dtype != input.dtype:
        raise TypeError(
            "grid_sampler(): expected input and grid to have same dtype, but got "
            f"{input.dtype} and {grid.dtype}"
        )
    if input.ndim not in (4, 5) or input.ndim != grid.ndim:
        raise ValueError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, "
            + both
        )
    if len(input) != len(grid):
        raise ValueError(f"grid_sampler(): expected grid and input to have same batch size, {both}")
    if grid.shape[-1] != input.ndim - 2:
        raise ValueError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but "
            f"got grid with sizes {[*grid.shape]}"
        )
    if 0 in input.shape[1:-1]:
        raise ValueError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has "
            f"sizes {[*input.shape]}"
        )
    if mode == "bicubic" and input.ndim != 4:
        raise ValueError("grid_sampler(): bicubic interpolation only supports 4D input")


def _unnormalized(point: jax.Array, size: int, aligned: bool) -> jax.Array:
    """Return where among the points of an axis a number between -1 and 1 lies."""
    if aligned:
        return (point + 1) / 2 * (size - 1)
    return ((point + 1) * size - 1) / 2


def _padded(place: jax.Array, size: int, padding_mode: str, aligned: bool) -> jax.Array:
    """Return where a place outside is looked up; the gradient of what is cut off is 0."""
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, float(size - 1)) if aligned else (-0.5, float(size))
        if span == 0:
            return jnp.zeros_like(place)
        away = jnp.where(place < low, low - place, place - low)
        rest, flips = jnp.fmod(away, span), jnp.floor(away / span)
        place = jnp.where(jnp.fmod(flips, 2) == 0, rest + low, span - rest + low)
    place = jnp.where(place > 0, place, jnp.zeros_like(place))
    last = jnp.full_like(place, size - 1)
    return jnp.where(place < last, place, last)


_Tap = tuple[jax.Array, jax.Array]


def _nearest(
    place: jax.Array, size: int, inside: Callable[[jax.Array, int], jax.Array]
) -> list[_Tap]:
    """Return the one point of an axis, and its weight: 0 outside."""
    return [_tap(jnp.round(inside(place, size)), size, jnp.ones_like(place))]


def _linear(
    place: jax.Array, size: int, inside: Callable[[jax.Array, int], jax.Array]
) -> list[_Tap]:
    """Return the two neighbours on an axis and their weights."""
    place = inside(place, size)
    below = jnp.floor(place)
    part = place - below
    return [_tap(below, size, 1 - part), _tap(below + 1, size, part)]


def _cubic(
    place: jax.Array, size: int, inside: Callable[[jax.Array, int], jax.Array]
) -> list[_Tap]:
    """Return the four neighbours on an axis and their weights: each is looked up where it lies."""
    below = jnp.floor(place)
    weights = cubic_weights(place - below)
    return [
        _tap(jnp.trunc(inside(below + offset, size)), size, weight)
        for offset, weight in zip((-1, 0, 1, 2), weights, strict=True)
    ]


_TAPS: dict[str, Any] = {"bilinear": _linear, "nearest": _nearest, "bicubic": _cubic}


def _tap(place: jax.Array, size: int, weight: jax.Array) -> _Tap:
    """Return an index and its weight, which is 0 outside."""
    is_inside = (place >= 0) & (place <= size - 1)
    index = jnp.where(is_inside, place, jnp.zeros_like(place)).astype(jnp.int32)
    return index, jnp.where(is_inside, weight, jnp.zeros_like(weight))


def _points(x: jax.Array, index: tuple[jax.Array, ...]) -> jax.Array:
    """Return the points of each image at indices for its axes."""
    return jax.vmap(lambda image, *own: image[own])(x, *index)
