"""Channels into pixels, and back."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked


@checked
def pixel_shuffle(input: jax.Array, upscale_factor: int) -> jax.Array:
    """Turn channels into pixels, channels last.

    The r^2 numbers of an output channel are neighbours among the input's channels.

    Args:
        input: (..., H, W, C r^2).
        upscale_factor: The factor r of height and width.

    Returns:
        (..., H r, W r, C), in the input's dtype.

    Raises:
        TypeError: ``upscale_factor`` is not an integer.
        ValueError: it is not positive, an input of less than three axes, or whose channels are not
            a multiple of r^2.

    PyTorch:
        ``torch.nn.functional.pixel_shuffle``: the same order of channels, which are last here.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.pixel_shuffle(jnp.arange(4.0).reshape(1, 1, 4), 2)[..., 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]

    References:
        Shi et al. Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
        Convolutional Neural Network. 2016. https://arxiv.org/abs/1609.05158
    """
    _check("pixel_shuffle", "upscale_factor", upscale_factor, input)
    r, (*batch, height, width, channels) = upscale_factor, input.shape
    if channels % r**2 != 0:
        raise ValueError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the "
            f"square of upscale_factor, but input.shape[-1]={channels} is not divisible by "
            f"{r**2}"
        )
    x = input.reshape(*batch, height, width, channels // r**2, r, r)
    x = jnp.moveaxis(x, (-2, -1), (-4, -2))  # (..., H, r, W, r, C)
    return x.reshape(*batch, height * r, width * r, channels // r**2)


@checked
def pixel_unshuffle(input: jax.Array, downscale_factor: int) -> jax.Array:
    """Turn pixels into channels, channels last.

    The reverse of :func:`pixel_shuffle`.

    Args:
        input: (..., H r, W r, C).
        downscale_factor: The factor r by which height and width shrink.

    Returns:
        (..., H, W, C r^2), in the input's dtype.

    Raises:
        TypeError: ``downscale_factor`` is not an integer.
        ValueError: it is not positive, an input of less than three axes, or whose height or width
            is not a multiple of r.

    PyTorch:
        ``torch.nn.functional.pixel_unshuffle``: the same order of channels, which are last here.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.pixel_unshuffle(jnp.arange(4.0).reshape(2, 2, 1), 2).ravel().tolist()
        [0.0, 1.0, 2.0, 3.0]
    """
    _check("pixel_unshuffle", "downscale_factor", downscale_factor, input)
    r, (*batch, height, width, channels) = downscale_factor, input.shape
    for name, size, axis in (("height", height, -3), ("width", width, -2)):
        if size % r != 0:
            raise ValueError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, "
                f"but input.shape[{axis}]={size} is not divisible by {r}"
            )
    x = input.reshape(*batch, height // r, r, width // r, r, channels)
    x = jnp.moveaxis(x, (-4, -2), (-2, -1))  # (..., H, W, C, r, r)
    return x.reshape(*batch, height // r, width // r, channels * r**2)


def _check(name: str, argument: str, factor: int, input: jax.Array) -> None:
    """Raise unless a factor is a positive integer and there are height, width and channels."""
    if not isinstance(factor, int):
        raise TypeError(f"{name}(): {argument} must be int, not {type(factor).__name__}")
    if factor <= 0:
        raise ValueError(f"{name} expects a positive {argument}, but got {factor}")
    if input.ndim < 3:
        raise ValueError(
            f"{name} expects input to have at least 3 dimensions, "
            f"but got input with {input.ndim} dimension(s)"
        )
