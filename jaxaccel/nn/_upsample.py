"""The layers that change the number of points: interpolation, and channels into pixels."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

from jaxaccel._spatial import check_interpolation
from jaxaccel.functional import interpolate, pixel_shuffle, pixel_unshuffle


class Upsample(nnx.Module):
    """Make images, series or volumes larger or smaller (:func:`jaxaccel.functional.interpolate`).

    Channels last: (N, ..., C). One of ``size`` and ``scale_factor`` says how large. Every axis is
    interpolated by itself, with weights from double precision; sums are in float32 at least.

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
        check_interpolation(size, scale_factor, mode, align_corners, recompute_scale_factor)
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
        how = (self.mode, self.align_corners, self.recompute_scale_factor)
        return interpolate(input, self.size, self.scale_factor, *how)


class PixelShuffle(nnx.Module):
    """Turn channels into pixels (:func:`jaxaccel.functional.pixel_shuffle`).

    Channels last: (..., H, W, C r^2) to (..., H r, W r, C).

    Args:
        upscale_factor: The factor r of height and width.

    Raises:
        TypeError: ``upscale_factor`` is not an integer.
        ValueError: it is not positive; from a call, an input of less than three axes, or whose
            channels are not a multiple of r^2.

    PyTorch:
        ``torch.nn.PixelShuffle``: the same order of channels, which are last here. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.PixelShuffle(2)(jnp.arange(4.0).reshape(1, 1, 1, 4))[..., 0].tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """

    def __init__(self, upscale_factor: int):
        _check_factor("pixel_shuffle", "upscale_factor", upscale_factor)
        self.upscale_factor = upscale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, with fewer channels."""
        return pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(nnx.Module):
    """Turn pixels into channels (:func:`jaxaccel.functional.pixel_unshuffle`).

    Channels last: (..., H r, W r, C) to (..., H, W, C r^2), the reverse of :class:`PixelShuffle`.

    Args:
        downscale_factor: The factor r by which height and width shrink.

    Raises:
        TypeError: ``downscale_factor`` is not an integer.
        ValueError: it is not positive; from a call, an input of less than three axes, or whose
            height or width is not a multiple of r.

    PyTorch:
        ``torch.nn.PixelUnshuffle``: the same order of channels, which are last here. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.PixelUnshuffle(2)(jnp.arange(4.0).reshape(1, 2, 2, 1)).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """

    def __init__(self, downscale_factor: int):
        _check_factor("pixel_unshuffle", "downscale_factor", downscale_factor)
        self.downscale_factor = downscale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, with more channels."""
        return pixel_unshuffle(input, self.downscale_factor)


def _check_factor(name: str, argument: str, factor: int) -> None:
    """Raise unless a factor is a positive integer."""
    if not isinstance(factor, int):
        raise TypeError(f"{name}(): {argument} must be int, not {type(factor).__name__}")
    if factor <= 0:
        raise ValueError(f"{name} expects a positive {argument}, but got {factor}")
