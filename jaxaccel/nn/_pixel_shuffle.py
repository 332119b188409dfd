"""Layers that move channels into space, and back."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import pixel_shuffle, pixel_unshuffle


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

    @checked
    def __init__(self, upscale_factor: int):
        _check_factor("pixel_shuffle", "upscale_factor", upscale_factor)
        self.upscale_factor = upscale_factor

    @checked
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

    @checked
    def __init__(self, downscale_factor: int):
        _check_factor("pixel_unshuffle", "downscale_factor", downscale_factor)
        self.downscale_factor = downscale_factor

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, with more channels."""
        return pixel_unshuffle(input, self.downscale_factor)


def _check_factor(name: str, argument: str, factor: int) -> None:
    """Raise unless a factor is a positive integer."""
    if not isinstance(factor, int):
        raise TypeError(f"{name}(): {argument} must be int, not {type(factor).__name__}")
    if factor <= 0:
        raise ValueError(f"{name} expects a positive {argument}, but got {factor}")
