"""Random erasing: a box of an image becomes a colour, or noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._image_batch import check_images, colours
from jaxaccel.data._random_box import (
    TRIES,
    check_ranges,
    drawn_place,
    drawn_size,
    drawn_sizes,
    first_that_fits,
)
from jaxaccel.data._random_flip import chosen


@checked
def random_erasing(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    p: float = 0.5,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
    value: float | Sequence[float] | Literal["random"] = 0.0,
) -> jax.Array:
    """Erase a box of a random area, shape and place in each image with probability ``p``.

    A pure function for the inside of a compiled step, usually behind ``normalize``, where 0 is the
    mean. Ten areas and shapes are tried; where none of them fits into the image it stays as it is.

    Args:
        key: A JAX key: the same key gives the same boxes, whatever the images. Or a
            :class:`jaxaccel.random.Generator`, for PyTorch's own boxes and noise, drawn on the
            host.
        images: Shape ``(N, height, width, channels)``, any dtype.
        p: The probability that an image loses a box, from 0 to 1.
        scale: The least and the greatest area of a box, as a part of the image's.
        ratio: The least and the greatest height of a box in widths; their logarithms are uniform.
        value: What is in the box: a number, one for each channel, or ``"random"`` for noise from
            N(0, 1) in every pixel.

    Returns:
        An array of the shape and dtype of ``images``.

    Raises:
        ValueError: ``images`` does not have four axes, ``p`` is not in [0, 1], or ``scale``,
            ``ratio`` or ``value`` is none.
        TypeError: There would be noise in whole numbers.

    PyTorch:
        ``torchvision.transforms.v2.RandomErasing``: the same boxes with the same probabilities;
        with a generator those that it draws, called for one image after another, after the same
        seed, and the same noise. Left out: ``inplace``. PyTorch wraps noise in whole numbers.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> images = jnp.ones((1, 8, 8, 1), jnp.float32)
        >>> float(ja.data.random_erasing(jax.random.key(0), images, p=1.0).sum())
        49.0

    References:
        Zhong et al. Random Erasing Data Augmentation. 2017. https://arxiv.org/abs/1708.04896
    """
    check_images("random_erasing", images)
    check_ranges("random_erasing", scale, ratio)
    if isinstance(value, str):
        if value != "random":
            raise ValueError(f"If value is str, it should be 'random'\ngot value={value!r}")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise TypeError(
                f"random_erasing: noise needs floating-point images, got {images.dtype}; erase "
                "behind normalize"
            )
        colour = None
    else:
        colour = colours("random_erasing", "value", value, images)
    source: Any = key
    if is_generator(source):
        chosen("random_erasing", source, images[:0], p)  # checks alone
        boxes, noise = _drawn_by_torch(source, images, p, scale, ratio, colour is None)
    else:
        of_choice, of_box, of_noise = jax.random.split(source, 3)
        is_chosen = chosen("random_erasing", of_choice, images, p)
        boxes = _drawn_boxes(of_box, images.shape, scale, ratio, is_chosen)
        noise = None if colour is not None else jax.random.normal(of_noise, images.shape, "float32")
    if noise is not None:
        colour = jnp.asarray(noise).astype(images.dtype)
    return _erased(images, boxes, colour)


def _drawn_boxes(
    key: Any,
    shape: tuple[int, ...],
    scale: Sequence[float],
    ratio: Sequence[float],
    is_chosen: jax.Array,
) -> jax.Array:
    """Return a box ``(top, left, height, width)`` of each image, int32; an empty one for none."""
    of_size, *of_place = jax.random.split(key, 3)
    count, height, width, _ = shape
    heights, widths = drawn_sizes(of_size, count, height * width, scale, ratio)
    found, h, w = first_that_fits((heights < height) & (widths < width), heights, widths)
    h, w = (jnp.where(found & is_chosen, each, 0) for each in (h, w))
    places = (
        jax.random.randint(k, (count,), 0, room + 1, jnp.int32)
        for k, room in zip(of_place, (height - h, width - w), strict=True)
    )
    return jnp.stack([*places, h, w], 1)


def _drawn_by_torch(
    generator: Any,
    images: Any,
    p: float,
    scale: Sequence[float],
    ratio: Sequence[float],
    is_noise: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the boxes that torchvision draws, and noise that has its numbers in them."""
    count, height, width, channels = images.shape
    boxes = np.zeros((count, 4), np.int32)
    noise = np.zeros(images.shape, np.float32) if is_noise else None
    for n in range(count):
        if generator.rand((1,))[0] >= np.float32(p):
            continue
        for _ in range(TRIES):
            h, w = drawn_size(generator, height * width, scale, ratio)
            if not (h < height and w < width):
                continue
            drawn = generator.randn((channels, h, w)) if noise is not None else None
            top, left = drawn_place(generator, height - h), drawn_place(generator, width - w)
            boxes[n] = top, left, h, w
            if noise is not None and drawn is not None:
                noise[n, top : top + h, left : left + w] = np.moveaxis(drawn, 0, -1)
            break
    return boxes, noise


def _erased(images: Any, boxes: Any, colour: Any) -> jax.Array:
    """Return images with a colour in their boxes."""
    images, boxes = jnp.asarray(images), jnp.asarray(boxes)
    return jnp.where(inside(boxes, images.shape), colour, images)


def inside(boxes: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Return where a picture's box ``(top, left, height, width)`` is, (N, height, width, 1)."""
    top, left, h, w = (boxes[:, each, None] for each in range(4))
    rows = jnp.arange(shape[1], dtype=jnp.int32)[None, :]
    columns = jnp.arange(shape[2], dtype=jnp.int32)[None, :]
    of_rows = ((rows >= top) & (rows < top + h))[:, :, None, None]
    return of_rows & ((columns >= left) & (columns < left + w))[:, None, :, None]
