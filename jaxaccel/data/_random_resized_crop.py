"""A crop of a random area and shape, resized: what networks for ImageNet are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._image_batch import check_images, height_and_width
from jaxaccel.data._random_box import (
    TRIES,
    check_ranges,
    drawn_place,
    drawn_size,
    drawn_sizes,
    first_that_fits,
)
from jaxaccel.data._resample import MODES, resized_boxes


@checked
def random_resized_crop(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    size: int | Sequence[int],
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    interpolation: Literal["nearest", "nearest-exact", "bilinear", "bicubic"] = "bilinear",
    antialias: bool = True,
) -> jax.Array:
    """Cut a box of a random area, shape and place out of each image, and resize it.

    A pure function for the inside of a compiled step: every box has one program, in which a matrix
    for rows and one for columns do the cut and the resizing. Ten areas and shapes are tried; where
    none of them fits into the image, the box is in its middle.

    Args:
        key: A JAX key: the same key gives the same boxes, whatever the images. Or a
            :class:`jaxaccel.random.Generator`, for PyTorch's own boxes, drawn on the host.
        images: Shape ``(N, height, width, channels)``, any dtype.
        size: Height and width of the result, or one number for both.
        scale: The least and the greatest area of a box, as a part of the image's.
        ratio: The least and the greatest width of a box in heights; their logarithms are uniform.
        interpolation: How pixels between pixels are made.
        antialias: Whether a new pixel is a mean of all that it stands for (bilinear and bicubic).

    Returns:
        An array of shape ``(N, *size, channels)`` and of the dtype of ``images``. It is computed in
        float32 at least; whole numbers are rounded, half precision once.

    Raises:
        ValueError: ``images`` does not have four axes, or ``size``, ``scale``, ``ratio`` or
            ``interpolation`` is none.

    PyTorch:
        ``torchvision.transforms.v2.RandomResizedCrop``: the same boxes with the same probabilities;
        with a generator those that it draws, called for one image after another, after the same
        seed. Pixels are those of tensors: floating-point ones to rounding, bytes as the CPU
        resizes them, in fixed-point numbers, but for a level in some thousand; on a GPU
        torchvision computes bytes in float32.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> images = jnp.ones((2, 40, 30, 3), jnp.uint8)
        >>> ja.data.random_resized_crop(jax.random.key(0), images, 8).shape
        (2, 8, 8, 3)

    References:
        Szegedy et al. Going deeper with convolutions. 2014. https://arxiv.org/abs/1409.4842
    """
    check_images("random_resized_crop", images)
    sizes = height_and_width("random_resized_crop", size)
    check_ranges("random_resized_crop", scale, ratio)
    if interpolation not in MODES:
        raise ValueError(
            f"random_resized_crop: interpolation must be one of {MODES}, got {interpolation!r}"
        )
    count, height, width, _ = images.shape
    if is_generator(key):
        boxes = [_drawn_box(key, height, width, scale, ratio) for _ in range(count)]
        boxes = jnp.asarray(np.array(boxes, np.int32).reshape(count, 4))
    else:
        boxes = _drawn_boxes(key, count, height, width, scale, ratio)
    return resized_boxes(jnp.asarray(images), boxes, sizes, interpolation, antialias)


def _drawn_boxes(
    key: Any,
    count: int,
    height: int,
    width: int,
    scale: Sequence[float],
    ratio: Sequence[float],
) -> jax.Array:
    """Return a box ``(top, left, height, width)`` of each image, int32 of shape (N, 4)."""
    of_size, *of_place = jax.random.split(key, 3)
    widths, heights = drawn_sizes(of_size, count, height * width, scale, ratio)
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    found, w, h = first_that_fits(fits, widths, heights)
    top, left, *middle = _in_the_middle(height, width, ratio)
    h, w = (jnp.where(found, a, b) for a, b in zip((h, w), middle, strict=True))
    places = (
        jax.random.randint(k, (count,), 0, room + 1, jnp.int32)
        for k, room in zip(of_place, (height - h, width - w), strict=True)
    )
    places = (jnp.where(found, a, b) for a, b in zip(places, (top, left), strict=True))
    return jnp.stack([*places, h, w], 1)


def _drawn_box(
    generator: Any, height: int, width: int, scale: Sequence[float], ratio: Sequence[float]
) -> tuple[int, int, int, int]:
    """Return the box that torchvision draws for the next image."""
    for _ in range(TRIES):
        w, h = drawn_size(generator, height * width, scale, ratio)
        if 0 < w <= width and 0 < h <= height:
            top = drawn_place(generator, height - h)
            return top, drawn_place(generator, width - w), h, w
    return _in_the_middle(height, width, ratio)


def _in_the_middle(height: int, width: int, ratio: Sequence[float]) -> tuple[int, int, int, int]:
    """Return the greatest box in an image's middle whose shape is in the range."""
    h, w = height, width
    if width / height < min(ratio):
        h = round(width / min(ratio))
    elif width / height > max(ratio):
        w = round(height * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w
