"""Random crop: each image moves by its own offset, zeros come in at the edges."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._types import Key


@checked
def random_crop(key: Key, images: jax.Array | np.ndarray, padding: int = 4) -> jax.Array:
    """Pad each image with zeros and cut a random window of the old size out of it.

    A pure function on the raw bytes, for the inside of a compiled step, before ``normalize``:
    what comes in at the edges is black, not the mean. Each image has its own offset. On a
    batch that is sharded over devices each device crops its own images, and the result does not
    depend on the number of devices; inside ``shard_map`` every device needs its own key.

    Args:
        key: A JAX key. The same key gives the same windows, whatever the images.
        images: Shape ``(N, height, width, channels)``, any dtype.
        padding: Zeros on each of the four sides, in pixels, at least 0.

    Returns:
        An array of the shape and dtype of ``images``.

    Raises:
        ValueError: ``images`` does not have four axes, or ``padding`` is negative.
        TypeError: ``padding`` is not an integer.

    PyTorch:
        ``torchvision.transforms.RandomCrop(size, padding=padding)`` with ``size`` the size of
        the image: the same windows with the same probabilities (each offset uniform from 0 to
        ``2 * padding``, both ends included), drawn from a JAX key. Left out: other sizes,
        fill values and padding modes.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.arange(1, 10, dtype=jnp.uint8).reshape(1, 3, 3, 1)
        >>> ja.data.random_crop(jax.random.key(0), image, padding=1)[0, :, :, 0].tolist()
        [[0, 1, 2], [0, 4, 5], [0, 7, 8]]

    References:
        He, Zhang, Ren, Sun, "Deep residual learning for image recognition", 2016, section 4.2.
    """
    if images.ndim != 4:
        raise ValueError(f"random_crop: images must be (N, H, W, C), got shape {images.shape}")
    if padding < 0:
        raise ValueError(f"random_crop: padding must be at least 0, got {padding}")
    # int32 by name: the default integer, and with it the draw, would change with x64.
    shape, count = (len(images), 2), 2 * padding + 1
    return _crop(images, jax.random.randint(key, shape, 0, count, jnp.int32), padding)


def _crop(images: Any, offsets: jax.Array, padding: int) -> jax.Array:
    """Cut the window that starts at ``offsets[n] = (top, left)`` out of padded image n."""
    _, height, width, _ = images.shape
    margin = (padding, padding)
    padded = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
    rows = offsets[:, :1] + jnp.arange(height, dtype=jnp.int32)[None, :]
    columns = offsets[:, 1:] + jnp.arange(width, dtype=jnp.int32)[None, :]
    window = jnp.take_along_axis(padded, rows[:, :, None, None], axis=1)
    return jnp.take_along_axis(window, columns[:, None, :, None], axis=2)
