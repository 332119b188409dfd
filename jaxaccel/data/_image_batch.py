"""What all augmentations ask of a batch of images and of the numbers beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_images(function: str, images: Any) -> None:
    """Raise for what is not a batch of images with channels last."""
    if images.ndim != 4:
        raise ValueError(f"{function}: images must be (N, H, W, C), got shape {images.shape}")


def height_and_width(function: str, size: int | Sequence[int]) -> tuple[int, int]:
    """Return the two numbers that PyTorch's ``size`` stands for."""
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if len(sizes) not in (1, 2) or min(sizes) < 1:
        raise ValueError(
            "Please provide only two dimensions (h, w) for size.\n"
            f"{function}: size must be one or two numbers of at least 1, got {size}"
        )
    return sizes[0], sizes[-1]


def computed_in(dtype: Any) -> Any:
    """Return the floating dtype in which pixels of a dtype are computed: float32 at least."""
    wide = jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits > 32
    return jnp.dtype(dtype) if wide else jnp.dtype(jnp.float32)


def per_image(values: Any, dtype: Any) -> jax.Array:
    """Return one number of each image, (N,), so that it meets (N, H, W, C)."""
    return jnp.asarray(values, dtype)[:, None, None, None]


def colours(function: str, name: str, value: Any, images: Any) -> jax.Array:
    """Return a colour as it meets (N, H, W, C): one number, or one for each channel."""
    numbers = np.atleast_1d(np.asarray(value, np.float64))
    channels = images.shape[-1]
    if numbers.shape not in ((1,), (channels,)):
        raise ValueError(
            f"{function}: {name} must be one number or {channels}, one for each channel, "
            f"got {value}"
        )
    if jnp.issubdtype(images.dtype, jnp.integer):
        info = jnp.iinfo(images.dtype)
        if not np.all((numbers > info.min - 1) & (numbers < info.max + 1)):
            raise ValueError(
                f"{function}: {name} must be from {info.min} to {info.max} in {images.dtype} "
                f"images, got {value}"
            )
    return jnp.asarray(numbers.astype(images.dtype)).reshape(1, 1, 1, -1)
