"""Random flips: each image is mirrored or not, left to right or top to bottom."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._image_batch import check_images


@checked
def random_horizontal_flip(
    key: Key | Generator, images: jax.Array | np.ndarray, p: float = 0.5
) -> jax.Array:
    """Mirror each image left to right with probability ``p``.

    A pure function on the raw bytes, for the inside of a compiled step. On a batch that is
    sharded over devices each device flips its own images, and the result does not depend on the
    number of devices; inside ``shard_map`` every device needs its own key.

    Args:
        key: A JAX key: the same key flips the same places of a batch, whatever the images. Or a
            :class:`jaxaccel.random.Generator`, for PyTorch's own flips, drawn on the host.
        images: Shape ``(N, height, width, channels)``, any dtype.
        p: The probability of a flip, from 0 to 1.

    Returns:
        An array of the shape and dtype of ``images``.

    Raises:
        ValueError: ``images`` does not have four axes, or ``p`` is not in [0, 1].

    PyTorch:
        ``torchvision.transforms.v2.RandomHorizontalFlip(p)``: the same images with the same
        probability; with a generator those that it flips, called for one image after another,
        after the same seed.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[[1], [2], [3]]]], jnp.uint8)
        >>> ja.data.random_horizontal_flip(jax.random.key(0), image, p=1.0).ravel().tolist()
        [3, 2, 1]
    """
    flipped = chosen("random_horizontal_flip", key, images, p)
    return _flip(images, flipped)


@checked
def random_vertical_flip(
    key: Key | Generator, images: jax.Array | np.ndarray, p: float = 0.5
) -> jax.Array:
    """Mirror each image top to bottom with probability ``p``.

    Args:
        as :func:`random_horizontal_flip`.

    Returns:
        An array of the shape and dtype of ``images``.

    Raises:
        ValueError: As from :func:`random_horizontal_flip`.

    PyTorch:
        ``torchvision.transforms.v2.RandomVerticalFlip(p)``: as
        :func:`random_horizontal_flip`.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[[1]], [[2]]]], jnp.uint8)
        >>> ja.data.random_vertical_flip(jax.random.key(0), image, p=1.0).ravel().tolist()
        [2, 1]
    """
    return _flip(images, chosen("random_vertical_flip", key, images, p), 1)


def chosen(function: str, key: Any, images: Any, p: Any) -> Any:
    """Return which images of a batch an augmentation of probability ``p`` is for."""
    check_images(function, images)
    if not isinstance(p, Tracer) and not 0.0 <= p <= 1.0:
        raise ValueError(f"{function}: p must be from 0 to 1, got {p}")
    if is_generator(key):
        return key.rand((len(images),)) < np.float32(p)
    # float32 by name: the default float, and with it the draw, would change with x64.
    return jax.random.uniform(key, (len(images),), jnp.float32) < p


def _flip(images: Any, flipped: Any, axis: int = 2) -> jax.Array:
    """Mirror the images for which ``flipped`` is true."""
    images = jnp.asarray(images)
    return jnp.where(flipped[:, None, None, None], jnp.flip(images, axis), images)
