"""Color jitter: brightness, contrast, saturation and hue change, in random order."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._colours import brighter, saturated, with_contrast, with_hue
from jaxaccel.data._image_batch import check_images

_CHANGES = (brighter, with_contrast, saturated, with_hue)


@checked
def color_jitter(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    brightness: float | Sequence[float] | None = None,
    contrast: float | Sequence[float] | None = None,
    saturation: float | Sequence[float] | None = None,
    hue: float | Sequence[float] | None = None,
) -> jax.Array:
    """Change each image's brightness, contrast, saturation and hue, in an order of its own.

    A pure function for the inside of a compiled step, before ``normalize``.

    Args:
        key: A JAX key: the same key gives the same factors and orders, whatever the images. Or a
            :class:`jaxaccel.random.Generator`, for PyTorch's own, drawn on the host.
        images: Shape ``(N, height, width, channels)`` with 1 or 3 channels: whole numbers, or
            floating-point ones from 0 to 1.
        brightness: The factors are uniform in ``[max(0, 1 - brightness), 1 + brightness]``, or
            between two numbers; None for no change.
        contrast: As ``brightness``; 0 is the mean of the image's grey.
        saturation: As ``brightness``; 0 is grey.
        hue: The parts of the circle that hues are turned by: in ``[-hue, hue]``, at most 0.5, or
            between two numbers.

    Returns:
        An array of the shape and dtype of ``images``. It is computed in float32 at least.

    Raises:
        ValueError: ``images`` does not have four axes, or a number is out of its bounds.
        TypeError: ``images`` has neither 1 nor 3 channels.

    PyTorch:
        ``torchvision.transforms.v2.ColorJitter`` of tensors: the same factors and orders with the
        same distribution; with a generator those that it draws, called for one image after
        another, after the same seed. Whole numbers are cut off after each change, as there: a last
        bit of float32 may make a level of it.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> images = jnp.full((1, 1, 1, 3), 100, jnp.uint8)
        >>> ja.data.color_jitter(jax.random.key(0), images, brightness=(1.5, 1.5)).ravel().tolist()
        [150, 150, 150]
    """
    check_images("color_jitter", images)
    if images.shape[-1] not in (1, 3):
        raise TypeError(
            "Input image tensor permitted channel values are 1 or 3, but found "
            f"{images.shape[-1]}\n"
            f"color_jitter: images must be (N, H, W, C), got shape {images.shape}"
        )
    bounds = (
        _bounds("brightness", brightness),
        _bounds("contrast", contrast),
        _bounds("saturation", saturation),
        _bounds("hue", hue, 0.0, (-0.5, 0.5)),
    )
    count = len(images)
    drawn = (_drawn_by_torch if is_generator(key) else _drawn)(key, count, bounds)
    orders, factors = map(jnp.asarray, drawn)
    used = tuple(change for change, bound in enumerate(bounds) if bound is not None)
    return _jittered(jnp.asarray(images), orders, factors, used)


@functools.partial(jax.jit, static_argnames=("used",))
def _jittered(
    images: jax.Array, orders: jax.Array, factors: jax.Array, used: tuple[int, ...]
) -> jax.Array:
    """Change each image four times, by the change whose turn it is; those not used do nothing."""

    def change_once(images: jax.Array, now: jax.Array) -> tuple[jax.Array, None]:
        changed = images
        for change in used:
            is_now = (now == change)[:, None, None, None]
            changed = jnp.where(is_now, _CHANGES[change](images, factors[:, change]), changed)
        return changed, None

    return jax.lax.scan(change_once, images, orders.T)[0] if used else images


def _bounds(
    name: str, value: Any, centre: float = 1.0, limits: tuple[float, float] = (0.0, math.inf)
) -> tuple[float, float] | None:
    """Return the numbers that a factor is drawn between, or None where nothing changes."""
    if value is None:
        return None
    if isinstance(value, (int, float)):
        if not value >= 0:
            raise ValueError(
                f"If {name} is a single number, it must be non negative.\ngot {name}={value}"
            )
        low, high = centre - value, centre + value
        low = max(low, 0.0) if centre else low
    elif len(value) == 2:
        low, high = map(float, value)
    else:
        raise ValueError(f"{name}={value} should be a single number or a sequence with length 2.")
    if not limits[0] <= low <= high <= limits[1] or math.isinf(high):
        raise ValueError(
            f"{name} values should be between {limits} and increasing, but got {[low, high]}."
        )
    return None if low == high == centre else (low, high)


def _drawn(key: Any, count: int, bounds: Sequence[Any]) -> tuple[jax.Array, jax.Array]:
    """Return the order of the changes, int32, and the factor of each, float32: (N, 4) both."""
    of_order, of_factors = jax.random.split(key)
    # The order of numbers that are alike in distribution is any order, with equal chances.
    orders = jnp.argsort(jax.random.uniform(of_order, (count, 4), jnp.float32), 1)
    low, high = (
        jnp.array([[(b or (1.0, 1.0))[end] for b in bounds]], jnp.float32) for end in (0, 1)
    )
    factors = jax.random.uniform(of_factors, (count, 4), jnp.float32, low, high)
    return orders.astype(jnp.int32), factors


def _drawn_by_torch(
    generator: Any, count: int, bounds: Sequence[Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return what torchvision draws for one image after another, as :func:`_drawn` does."""
    orders, factors = np.zeros((count, 4), np.int32), np.ones((count, 4), np.float32)
    for n in range(count):
        orders[n] = generator.randperm(4)
        for change, bound in enumerate(bounds):
            if bound is not None:
                factors[n, change] = generator.uniform((1,), *bound)[0]
    return orders, factors
