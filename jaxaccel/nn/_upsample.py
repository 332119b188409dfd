"""The upsampling layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel.nn._interpolation import (
    Taps,
    apply_taps,
    cubic_taps,
    linear_taps,
    nearest_taps,
)

_Number = TypeVar("_Number", int, float)

_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}
_AXES = {**_LINEAR, "bicubic": 2}
"""How many spatial axes a mode is for; the others are for any number."""


class Upsample(nnx.Module):
    """Make images (or series, or volumes) larger or smaller, channels last: (N, ..., C).

    One of ``size`` and ``scale_factor`` says how large. Every axis is interpolated by itself, with
    weights from double precision; sums are in float32 at least.

    Args:
        size: The output's spatial sizes, one number or one for each axis.
        scale_factor: The output's sizes over the input's (rounded down), one number or one for each
            axis. The points are taken at this scale, even where the rounding made the sizes differ.
        mode: ``"nearest"`` (the point at or below), ``"nearest-exact"``, ``"linear"`` for (N, L,
            C), ``"bilinear"`` or ``"bicubic"`` for (N, H, W, C), ``"trilinear"`` for (N, D, H, W,
            C).
        align_corners: Whether the outermost points of input and output coincide, rather than the
            outermost edges of their pixels; None for False, and for the nearest modes.
        recompute_scale_factor: Whether to take the points at the ratio of the rounded sizes.

    Raises:
        ValueError: a bad argument; from a call, an input or output of another number of axes, or of
            no points.
        TypeError: ``size`` is not of integers; from a call, an input to interpolate that is not
            floating point.

    PyTorch:
        ``torch.nn.Upsample``: the same, channels last. Left out: the modes ``"area"`` (the adaptive
        average pools) and ``"lanczos"``. PyTorch raises ``NotImplementedError`` or
        ``RuntimeError`` in places, and when the layer is called. Two of its gradients are not those
        of its values, as they are here: ``"nearest"`` of doubles (positions in float32), and
        ``"bicubic"`` where the sizes stay though a factor moves the points.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Upsample(scale_factor=2, mode="linear")
        >>> layer(jnp.array([[[1.0], [3.0]]])).ravel().tolist()
        [1.0, 1.5, 2.5, 3.0]
    """

    def __init__(
        self,
        size: int | Sequence[int] | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        if mode not in (*_AXES, "nearest", "nearest-exact"):
            raise ValueError(
                "mode must be one of 'nearest', 'nearest-exact', 'linear', 'bilinear', 'bicubic', "
                f"'trilinear', got {mode!r}"
            )
        if mode not in _AXES and align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the "
                "interpolating modes: linear | bilinear | bicubic | trilinear"
            )
        if size is not None and scale_factor:
            raise ValueError("only one of size or scale_factor should be defined")
        if size is None and not scale_factor:
            raise ValueError("either size or scale_factor should be defined")
        if recompute_scale_factor and size is not None:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        sizes = () if size is None else (size if isinstance(size, Sequence) else (size,))
        if not all(isinstance(number, int) for number in sizes):
            raise TypeError(f"expected size to be an int or a tuple of ints, got {size}")
        self.size = tuple(size) if isinstance(size, Sequence) else size
        self.scale_factor = (
            tuple(map(float, scale_factor))
            if isinstance(scale_factor, Sequence)
            else (float(scale_factor) if scale_factor else None)
        )
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        floating = jnp.issubdtype(input.dtype, jnp.floating)
        if self.mode in _AXES and not floating:
            raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
        sizes, factors = self._sizes(input)
        dtype = compute_dtype(input.dtype) if floating else jnp.dtype(jnp.float32)
        output = input.astype(dtype) if self.mode in _AXES else input
        for axis, (size, factor) in enumerate(zip(sizes, factors, strict=True), 1):
            output = apply_taps(output, axis, self._taps(input.shape[axis], size, factor, dtype))
        return output.astype(input.dtype)

    def _sizes(self, input: jax.Array) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
        """Return the output's spatial sizes, and the factors that say where its points lie."""
        axes, spatial = input.ndim - 2, input.shape[1:-1]
        wanted = _AXES.get(self.mode)
        if not 1 <= axes <= 3 or wanted not in (None, axes):
            needs = "3D, 4D or 5D" if wanted is None else f"{wanted + 2}D"
            raise ValueError(f"Got {input.ndim}D input, but {self.mode} mode needs {needs} input")
        factors = _each("scale_factor", self.scale_factor, spatial)
        sizes = _each("size", self.size, spatial)
        if sizes is None:
            assert factors is not None
            sizes = tuple(int(n * factor) for n, factor in zip(spatial, factors, strict=True))
        if min((*spatial, *sizes)) <= 0:
            raise ValueError(
                "Input and output sizes should be greater than 0, but got "
                f"input {list(spatial)} and output {list(sizes)}"
            )
        if factors is None or self.recompute_scale_factor:
            return sizes, (None,) * axes
        return sizes, factors

    def _taps(self, length: int, size: int, factor: float | None, dtype: jnp.dtype) -> Taps:
        """Return what one axis is interpolated from."""
        if self.mode in _LINEAR:
            return linear_taps(length, size, factor, bool(self.align_corners))
        if self.mode == "bicubic":
            return cubic_taps(length, size, factor, bool(self.align_corners))
        return nearest_taps(length, size, factor, self.mode == "nearest-exact", dtype)


def _each(
    name: str, value: _Number | tuple[_Number, ...] | None, spatial: tuple[int, ...]
) -> tuple[_Number, ...] | None:
    """Return one number for each spatial axis, or None for None."""
    if value is None:
        return None
    numbers = value if isinstance(value, tuple) else (value,) * len(spatial)
    if len(numbers) != len(spatial):
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got "
            f"input with spatial dimensions of {list(spatial)} and {name} of {value}"
        )
    return numbers
