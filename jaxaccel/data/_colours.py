"""Brightness, contrast, saturation and hue of a batch, as torchvision changes tensors."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel.data._image_batch import computed_in, per_image


def brighter(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Multiply each image by its factor."""
    dtype = computed_in(images.dtype)
    return _in_range(images.astype(dtype) * per_image(factor, dtype), images.dtype)


def with_contrast(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Move each image away from the mean of its grey, or towards it."""
    grey = _grey(images) if images.shape[-1] == 3 else images.astype(computed_in(images.dtype))
    return _blended(images, jnp.mean(grey, (1, 2, 3), keepdims=True), factor)


def saturated(images: jax.Array, factor: jax.Array) -> jax.Array:
    """Move each pixel away from its grey, or towards it."""
    return images if images.shape[-1] == 1 else _blended(images, _grey(images), factor)


def with_hue(images: jax.Array, shift: jax.Array) -> jax.Array:
    """Turn each pixel's hue by a part of the circle."""
    if images.shape[-1] == 1:
        return images
    highest = _highest(images.dtype)
    x = images.astype(jnp.float32)
    if highest > 1:
        x = x * (1 / highest)
    hue, saturation, value = _hsv(x)
    hue = jnp.mod(hue + jnp.asarray(shift, jnp.float32)[:, None, None], 1.0)
    x = _rgb(hue, saturation, value)
    # The highest number is reached by what is near 1, too.
    return (x * (highest + 1 - 1e-3) if highest > 1 else x).astype(images.dtype)


def _highest(dtype: Any) -> float:
    """Return the number that stands for full brightness."""
    return 1.0 if jnp.issubdtype(dtype, jnp.floating) else float(jnp.iinfo(dtype).max)


def _in_range(values: jax.Array, dtype: Any) -> jax.Array:
    """Return numbers as pixels, with PyTorch's cast: a fraction is cut off."""
    return jnp.clip(values, 0.0, _highest(dtype)).astype(dtype)


def _grey(images: jax.Array) -> jax.Array:
    """Return the brightness that an eye sees, (N, H, W, 1); a whole number where pixels are."""
    x = images.astype(computed_in(images.dtype))
    red, green, blue = (x[..., channel : channel + 1] for channel in range(3))
    grey = red * 0.2989 + green * 0.587 + blue * 0.114
    return grey if jnp.issubdtype(images.dtype, jnp.floating) else jnp.floor(grey)


def _blended(images: jax.Array, others: jax.Array, factor: jax.Array) -> jax.Array:
    """Return ``factor`` parts of the images and ``1 - factor`` of the others."""
    dtype = computed_in(images.dtype)
    own = per_image(factor, dtype)
    return _in_range(images.astype(dtype) * own + others * (1 - own), images.dtype)


def _hsv(x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return hue, saturation and value, (N, H, W) each, of colours from 0 to 1."""
    red, green, _ = (x[..., channel] for channel in range(3))
    highest, lowest = jnp.max(x, -1), jnp.min(x, -1)
    is_grey = highest == lowest
    spread = highest - lowest
    saturation = spread / jnp.where(is_grey, 1.0, highest)
    below = (highest[..., None] - x) / jnp.where(is_grey, 1.0, spread)[..., None]
    r, g, b = (below[..., channel] for channel in range(3))
    hue = jnp.where(red == highest, b - g, jnp.where(green == highest, r + 2 - b, g + 4 - r))
    return jnp.mod(hue * (1 / 6) + 1, 1.0), saturation, highest


def _rgb(hue: jax.Array, saturation: jax.Array, value: jax.Array) -> jax.Array:
    """Return the colours, (N, H, W, 3), of what :func:`_hsv` returns."""
    sector = jnp.floor(hue * 6)
    part = saturation * (hue * 6 - sector)
    falling = jnp.clip((1 - part) * value, 0.0, 1.0)
    rising = jnp.clip((part + (1 - saturation)) * value, 0.0, 1.0)
    low = jnp.clip((1 - saturation) * value, 0.0, 1.0)
    sector = jnp.mod(sector.astype(jnp.int32), 6)
    red = (value, falling, low, low, rising, value)
    # Green is red two sectors later, blue four.
    channels = [jax.lax.select_n(sector, *red[-turn:], *red[:-turn]) for turn in (6, 2, 4)]
    return jnp.stack(channels, -1)
