"""Cutmix: a box of each image is the one before it."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key, is_generator
from jaxaccel.data._mixed import before, check_mixed, drawn_share, mixed_labels
from jaxaccel.data._random_erasing import inside


@checked
def cutmix(
    key: Key | Generator,
    images: jax.Array | np.ndarray,
    labels: jax.Array | np.ndarray,
    *,
    alpha: float = 1.0,
    num_classes: int | None = None,
) -> tuple[jax.Array, jax.Array]:
    r"""Put a box of the image before it in the batch into each image, and mix the labels alike.

    A pure function for the inside of a compiled step. One box is drawn for the batch, of a share
    :math:`1 - \lambda` of the image's area around a uniform place; what is outside of the image is
    cut off, and the labels' share is that of what is left.

    Args:
        as :func:`mixup`, with ``images`` of any dtype, and :math:`\lambda` from
        Beta(``alpha``, ``alpha``).

    Returns:
        ``(images, labels)``, as :func:`mixup`.

    Raises:
        TypeError: ``labels`` are neither integers nor probabilities.
        ValueError: As from :func:`mixup`.

    PyTorch:
        ``torchvision.transforms.v2.CutMix``: the same pairs, the same box with a generator, and
        the same distribution with a key. Left out: ``labels_getter``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> images, labels = jnp.ones((2, 8, 8, 3), jnp.uint8), jnp.array([0, 1])
        >>> images, labels = ja.data.cutmix(ja.random.manual_seed(3), images, labels, num_classes=2)
        >>> [round(float(probability), 3) for probability in labels[0]]
        [0.75, 0.25]

    References:
        Yun et al. CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
        Features. 2019. https://arxiv.org/abs/1905.04899
    """
    check_mixed("cutmix", images, labels, alpha, num_classes)
    images = jnp.asarray(images)
    height, width = images.shape[1:3]
    if is_generator(key):
        box = _drawn_by_torch(key, alpha, height, width)
        area = int(box[0, 2]) * int(box[0, 3])
        share: Any = 1.0 - area / (width * height)
    else:
        box = _drawn_box(key, alpha, height, width)
        share = 1 - (box[0, 2] * box[0, 3]).astype(jnp.float32) / (width * height)
    images = jnp.where(inside(jnp.asarray(box), images.shape), before(images), images)
    return images, mixed_labels(labels, share, num_classes)


def _drawn_box(key: Any, alpha: float, height: int, width: int) -> jax.Array:
    """Return the batch's box ``(top, left, height, width)``, int32 of shape (1, 4)."""
    of_share, of_place = jax.random.split(key)
    half = 0.5 * jnp.sqrt(1 - drawn_share(of_share, alpha))
    sizes = jnp.array([height, width], jnp.int32)
    centre = jax.random.randint(of_place, (2,), 0, sizes, jnp.int32)
    reach = (half * sizes.astype(jnp.float32)).astype(jnp.int32)
    first, last = jnp.maximum(centre - reach, 0), jnp.minimum(centre + reach, sizes)
    return jnp.concatenate([first, last - first])[None]


def _drawn_by_torch(generator: Any, alpha: float, height: int, width: int) -> np.ndarray:
    """Return the box that torchvision draws, as :func:`_drawn_box` does."""
    half = 0.5 * math.sqrt(1 - drawn_share(generator, alpha))
    x, y = (int(generator.randint(0, size, (1,))[0]) for size in (width, height))
    ends = []
    for at, size in ((y, height), (x, width)):
        reach = int(half * size)
        ends.append((max(at - reach, 0), min(at + reach, size)))
    (top, bottom), (left, right) = ends
    return np.array([[top, left, bottom - top, right - left]], np.int32)
