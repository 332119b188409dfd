"""Bytes to numbers: scale to [0, 1], subtract the mean, divide by the standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._types import DType


@checked
def normalize(
    images: jax.Array | np.ndarray,
    mean: Sequence[float] | jax.Array,
    std: Sequence[float] | jax.Array,
    dtype: DType = jnp.float32,
) -> jax.Array:
    r"""Scale uint8 images to [0, 1] and standardize each channel.

    Floating-point images, which another augmentation may have made, are on that scale already.

    A pure function for the inside of a compiled step: batches cross to the device as bytes, a
    quarter of the traffic. Half-precision results are computed in float32 and rounded once.

    .. math::

        y = \frac{x / 255 - \mathrm{mean}}{\mathrm{std}}

    Args:
        images: uint8, or floating point from 0 to 1; channels last, any number of leading axes.
        mean: One number per channel, on the scale [0, 1].
        std: One number per channel, on the same scale, not 0.
        dtype: The floating dtype of the result.

    Returns:
        An array of the shape of ``images`` and of ``dtype``.

    Raises:
        TypeError: ``images`` is neither uint8 nor floating point, or ``dtype`` is not a floating
            dtype.
        ValueError: ``mean`` or ``std`` does not have one number per channel, or a ``std`` is 0.

    PyTorch:
        ``torchvision.transforms.ToTensor`` followed by ``Normalize(mean, std)``: the same three
        operations in the same order; of floating-point tensors, ``Normalize`` alone. Channels stay
        last, and a compiled step may multiply by the reciprocals of 255 and ``std``, which differs
        in the last bit.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> image = jnp.array([[[0], [255]]], jnp.uint8)
        >>> ja.data.normalize(image, (0.5,), (0.25,)).ravel().tolist()
        [-2.0, 2.0]
    """
    dtype = jnp.dtype(dtype)
    is_scaled = jnp.issubdtype(images.dtype, jnp.floating)
    if images.dtype != jnp.uint8 and not is_scaled:
        raise TypeError(f"normalize: images must be uint8 or floating point, got {images.dtype}")
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"normalize: dtype must be a floating dtype, got {dtype}")
    compute = dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)
    mean = _per_channel("mean", mean, images, compute)
    std = _per_channel("std", std, images, compute)
    x = jnp.asarray(images).astype(compute)
    return (((x if is_scaled else x / 255) - mean) / std).astype(dtype)


def _per_channel(name: str, value: Any, images: Any, dtype: Any) -> jax.Array:
    """Return ``value`` shaped to broadcast against ``images``, or raise."""
    if images.ndim == 0 or np.shape(value) != (images.shape[-1],):
        raise ValueError(
            f"normalize: {name} must have one number per channel, got shape {np.shape(value)} "
            f"for images of shape {images.shape}"
        )
    if name == "std" and not isinstance(value, Tracer) and not np.all(value):
        raise ValueError(f"normalize: std has a zero, leading to division by zero: {value}")
    return jnp.asarray(value, dtype).reshape((1,) * (images.ndim - 1) + (-1,))
