"""Interpolation: images (or series, or volumes) made larger or smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._shapes import check_size
from jaxaccel._spatial import INTERPOLATION_AXES, check_interpolation
from jaxaccel.functional._adaptive_avg_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from jaxaccel.functional._interpolate_taps import (
    Taps,
    apply_taps,
    cubic_taps,
    linear_taps,
    nearest_taps,
    repeated,
    times_in_a_row,
)

_Number = TypeVar("_Number", int, float)


_NAMES = (
    *(
        f"{mode}{axes}d"
        for mode in ("upsample_nearest", "_upsample_nearest_exact")
        for axes in "123"
    ),
    *("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_trilinear3d"),
)


def _name(arguments: Mapping[str, Any]) -> str | None:
    """Return PyTorch's name of the operation; an area is a pool, which has its own."""
    mode, axes = arguments.get("mode", "nearest"), arguments["input"].ndim - 2
    if mode == "area":
        return None
    exact = "_upsample_nearest_exact" if mode == "nearest-exact" else f"upsample_{mode}"
    return f"{exact}{axes}d"


@checked
@operation(_name, names=_NAMES)
def interpolate(
    input: jax.Array,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> jax.Array:
    """Make images (or series, or volumes) larger or smaller, channels last.

    One of ``size`` and ``scale_factor`` says how large. Every axis is interpolated by itself, with
    weights from double precision; sums are in float32 at least.

    Args:
        input: (N, L, C), (N, H, W, C) or (N, D, H, W, C).
        size: The output's spatial sizes, one number or one for each axis.
        scale_factor: The output's sizes over the input's (rounded down), one number or one for each
            axis. The points are taken at this scale, even where the rounding made the sizes differ.
        mode: ``"nearest"`` (the point at or below), ``"nearest-exact"``, ``"area"`` (the mean of
            an area, as :func:`adaptive_avg_pool2d`), ``"linear"`` for (N, L, C), ``"bilinear"`` or
            ``"bicubic"`` for (N, H, W, C), ``"trilinear"`` for (N, D, H, W, C).
        align_corners: Whether the outermost points of input and output coincide, rather than the
            outermost edges of their pixels; None for False, and for the nearest modes.
        recompute_scale_factor: Whether to take the points at the ratio of the rounded sizes.

    Returns:
        The output, (N, ..., C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input of another number of axes, no points.
        TypeError: ``size`` is not of integers, or an input to interpolate that is not floating
            point.

    PyTorch:
        ``torch.nn.functional.interpolate``: the same, channels last. Left out: ``antialias``, and
        the mode ``"lanczos"``. PyTorch raises
        ``NotImplementedError`` or ``RuntimeError`` in places. Two of its gradients are not those of
        its values, as they are here: ``"nearest"`` of doubles (positions in float32), and
        ``"bicubic"`` where the sizes stay though a factor moves the points.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[1.0], [3.0]]])
        >>> ja.functional.interpolate(x, scale_factor=2, mode="linear").ravel().tolist()
        [1.0, 1.5, 2.5, 3.0]
    """
    check_interpolation(size, scale_factor, mode, align_corners, recompute_scale_factor)
    floating = jnp.issubdtype(input.dtype, jnp.floating)
    if mode in (*INTERPOLATION_AXES, "area") and not floating:
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    sizes, factors = _sizes(input, size, scale_factor, mode)
    if mode == "area":
        return _adaptive_pool(input)(input, sizes)
    if recompute_scale_factor:
        factors = (None,) * len(sizes)
    dtype = compute_dtype(input.dtype) if floating else jnp.dtype(jnp.float32)
    spatial = input.shape[1:-1]
    taps = [
        _taps(mode, *points, bool(align_corners), dtype)
        for points in zip(spatial, sizes, factors, strict=True)
    ]
    repeats = [times_in_a_row(each, length) for each, length in zip(taps, spatial, strict=True)]
    if None not in repeats:
        return repeated(input, cast(list[int], repeats))
    output = input.astype(dtype) if mode in INTERPOLATION_AXES else input
    for axis, each in enumerate(taps, 1):
        output = apply_taps(output, axis, each)
    return output.astype(input.dtype)


def _adaptive_pool(input: jax.Array) -> Callable[..., jax.Array]:
    """Return the function of the areas: each point of the output is the mean of its own."""
    return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[input.ndim - 3]


def _taps(
    mode: str, length: int, size: int, factor: float | None, align_corners: bool, dtype: jnp.dtype
) -> Taps:
    """Return what one axis is interpolated from."""
    if mode == "bicubic":
        return cubic_taps(length, size, factor, align_corners)
    if mode in INTERPOLATION_AXES:
        return linear_taps(length, size, factor, align_corners)
    return nearest_taps(length, size, factor, mode == "nearest-exact", dtype)


def _sizes(
    input: jax.Array,
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    mode: str,
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """Return the output's spatial sizes, and the factors that say where its points lie."""
    axes, spatial = input.ndim - 2, input.shape[1:-1]
    wanted = INTERPOLATION_AXES.get(mode)
    if not 1 <= axes <= 3 or wanted not in (None, axes):
        needs = "3D, 4D or 5D" if wanted is None else f"{wanted + 2}D"
        raise ValueError(f"Got {input.ndim}D input, but {mode} mode needs {needs} input")
    factors = _each("scale_factor", scale_factor or None, spatial)
    sizes = _each("size", size, spatial)
    if sizes is None:
        assert factors is not None
        sizes = tuple(n * factor for n, factor in zip(spatial, factors, strict=True))
    if not all(map(math.isfinite, sizes)):
        raise ValueError(f"scale_factor must be made of finite numbers, got {scale_factor}")
    sizes = tuple(map(int, sizes))
    if min((*spatial, *sizes)) <= 0:
        raise ValueError(
            "Input and output sizes should be greater than 0, but got "
            f"input {list(spatial)} and output {list(sizes)}"
        )
    check_size("output shape", (input.shape[0], *sizes, input.shape[-1]))
    return sizes, factors or (None,) * axes


def _each(
    name: str, value: _Number | Sequence[_Number] | None, spatial: tuple[int, ...]
) -> tuple[_Number, ...] | None:
    """Return one number for each spatial axis, or None for None."""
    if value is None:
        return None
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * len(spatial)
    if len(numbers) != len(spatial):
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got "
            f"input with spatial dimensions of {list(spatial)} and {name} of {value}"
        )
    return numbers
