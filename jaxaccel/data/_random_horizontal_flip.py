"""Random horizontal flip: each image is mirrored or not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._types import Key


@checked
def random_horizontal_flip(key: Key, images: jax.Array | np.ndarray, p: float = 0.5) -> jax.Array:
    """Mirror each image left to right with probability ``p``.

    A pure function on the raw bytes, for the inside of a compiled step. On a batch that is
    sharded over devices each device flips its own images, and the result does not depend on the
    number of devices; inside ``shard_map`` every device needs its own key.

    Args:
        key: A JAX key. The same key flips the same places of a batch, whatever the images.
        images: Shape ``(N, height, width, channels)``, any dtype.
        p: The probability of a flip, from 0 to 1.

    Returns:
        An array of the shape and dtype of ``images``.

    Raises:
        ValueError: ``images`` does not have four axes, or ``p`` is not in [0, 1].

    PyTorch:
        ``torchvision.transforms.RandomHorizontalFlip(p)``: the same images with the same
        probability, drawn from a JAX key.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[[1], [2], [3]]]], jnp.uint8)
        >>> ja.data.random_horizontal_flip(jax.random.key(0), image, p=1.0).ravel().tolist()
        [3, 2, 1]
    """
    if images.ndim != 4:
        raise ValueError(
            f"random_horizontal_flip: images must be (N, H, W, C), got shape {images.shape}"
        )
    if not isinstance(p, Tracer) and not 0.0 <= p <= 1.0:
        raise ValueError(f"random_horizontal_flip: p must be from 0 to 1, got {p}")
    # float32 by name: the default float, and with it the draw, would change with x64.
    return _flip(images, jax.random.uniform(key, (len(images),), jnp.float32) < p)


def _flip(images: Any, flipped: jax.Array) -> jax.Array:
    """Mirror the images for which ``flipped`` is true."""
    images = jnp.asarray(images)
    return jnp.where(flipped[:, None, None, None], images[:, :, ::-1], images)
