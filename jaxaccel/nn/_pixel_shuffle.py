"""Channels into pixels, and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx


class PixelShuffle(nnx.Module):
    """Turn channels into pixels, channels last: (..., H, W, C r^2) to (..., H r, W r, C).

    The r^2 numbers of an output channel are neighbours among the input's channels.

    Args:
        upscale_factor: The factor r of height and width.

    Raises:
        TypeError: ``upscale_factor`` is no integer.
        ValueError: it is not positive; from a call, an input of less than three axes, or whose
            channels are no multiple of r^2.

    PyTorch:
        ``torch.nn.PixelShuffle``: the same order of channels, which are last here. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.PixelShuffle(2)(jnp.arange(4.0).reshape(1, 1, 1, 4))[..., 0].tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]

    References:
        Shi et al. Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network. 2016. https://arxiv.org/abs/1609.05158
    """

    def __init__(self, upscale_factor: int):
        _check("pixel_shuffle", "upscale_factor", upscale_factor)
        self.upscale_factor = upscale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, with fewer channels."""
        _check_axes("pixel_shuffle", input)
        r, (*batch, height, width, channels) = self.upscale_factor, input.shape
        if channels % r**2 != 0:
            raise ValueError(
                "pixel_shuffle expects its input's 'channel' dimension to be divisible by the "
                f"square of upscale_factor, but input.shape[-1]={channels} is not divisible by "
                f"{r**2}"
            )
        x = input.reshape(*batch, height, width, channels // r**2, r, r)
        x = jnp.moveaxis(x, (-2, -1), (-4, -2))  # (..., H, r, W, r, C)
        return x.reshape(*batch, height * r, width * r, channels // r**2)


class PixelUnshuffle(nnx.Module):
    """Turn pixels into channels, channels last: (..., H r, W r, C) to (..., H, W, C r^2).

    The reverse of :class:`PixelShuffle`.

    Args:
        downscale_factor: The factor r by which height and width shrink.

    Raises:
        TypeError: ``downscale_factor`` is no integer.
        ValueError: it is not positive; from a call, an input of less than three axes, or whose
            height or width is no multiple of r.

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
        _check("pixel_unshuffle", "downscale_factor", downscale_factor)
        self.downscale_factor = downscale_factor

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, with more channels."""
        _check_axes("pixel_unshuffle", input)
        r, (*batch, height, width, channels) = self.downscale_factor, input.shape
        for name, size, axis in (("height", height, -3), ("width", width, -2)):
            if size % r != 0:
                raise ValueError(
                    f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
                    f"but input.shape[{axis}]={size} is not divisible by {r}"
                )
        x = input.reshape(*batch, height // r, r, width // r, r, channels)
        x = jnp.moveaxis(x, (-4, -2), (-2, -1))  # (..., H, W, C, r, r)
        return x.reshape(*batch, height // r, width // r, channels * r**2)


def _check(name: str, argument: str, factor: int) -> None:
    """Raise unless a factor is a positive integer."""
    if not isinstance(factor, int):
        raise TypeError(f"{name}(): {argument} must be int, not {type(factor).__name__}")
    if factor <= 0:
        raise ValueError(f"{name} expects a positive {argument}, but got {factor}")


def _check_axes(name: str, input: jax.Array) -> None:
    """Raise unless there are height, width and channels."""
    if input.ndim < 3:
        raise ValueError(
            f"{name} expects input to have at least 3 dimensions, "
            f"but got input with {input.ndim} dimension(s)"
        )
