"""What mixup and cutmix share: the share that is drawn, the checks, and soft labels."""

from __future__ import annotations

import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._types import is_generator
from jaxaccel.data._image_batch import check_images


def check_mixed(function: str, images: Any, labels: Any, alpha: float, num_classes: Any) -> None:
    """Raise for what cannot be mixed."""
    check_images(function, images)
    if not 0 < alpha < math.inf:
        raise ValueError(f"{function}: alpha must be above 0 and finite, got {alpha}")
    if labels.ndim not in (1, 2):
        raise ValueError(
            "labels should be index based with shape (batch_size,) or probability based with shape "
            f"(batch_size, num_classes), but got a tensor of shape {labels.shape} instead.\n"
            f"{function}: pass one class or one row of probabilities for each image"
        )
    if labels.ndim == 1 and num_classes is None:
        raise ValueError(
            "num_classes must be passed if the labels are index-based (1D)\n"
            f"{function}: pass num_classes="
        )
    if labels.ndim == 1 and not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"{function}: labels of shape (N,) must be integers, got {labels.dtype}")
    if labels.ndim == 2 and num_classes not in (None, labels.shape[-1]):
        raise ValueError(
            "When passing 2D labels, the number of elements in last dimension must match "
            f"num_classes: {labels.shape[-1]} != {num_classes}. You can Leave num_classes to None."
            f"\n{function}: got labels of shape {labels.shape}"
        )
    if len(images) != len(labels):
        raise ValueError(
            "The batch size of the image or video does not match the batch size of the labels: "
            f"{len(images)} != {len(labels)}.\n{function}: pass the labels of these images"
        )


def drawn_share(key: Any, alpha: float) -> Any:
    """Return a number from Beta(alpha, alpha): a float from a generator, float32 from a key."""
    if not is_generator(key):
        # float32 by name: the default float, and with it the draw, would change with x64.
        return jax.random.beta(key, alpha, alpha, dtype=jnp.float32)
    alpha = float(np.float32(alpha))
    pair = [_gamma(key, alpha) for _ in range(2)]
    share = np.float32(pair[0] / (pair[0] + pair[1]))
    below_one = np.nextafter(np.float32(1), np.float32(0))
    return float(min(max(share, np.finfo(np.float32).tiny), below_one))


def before(x: jax.Array) -> jax.Array:
    """Return for each row of a batch the one before it, for the first the last."""
    where = jax.typeof(x).sharding  # known where a mesh has explicit axes
    if not any(where.spec):
        return jnp.roll(x, 1, 0)
    rows = jnp.roll(jnp.arange(len(x), dtype=jnp.int32), 1)
    return x.at[rows].get(out_sharding=where)


def mixed(x: jax.Array, share: Any) -> jax.Array:
    """Return each row times its share, and what is left of the row before it."""
    dtype = x.dtype
    own, others = (jnp.asarray(each, dtype) for each in (share, 1 - share))
    return before(x) * others + x * own


def mixed_labels(labels: Any, share: Any, num_classes: int | None) -> jax.Array:
    """Return the probabilities of the classes of mixed images."""
    labels = jnp.asarray(labels)
    if labels.ndim == 1:
        labels = labels[:, None] == jnp.arange(num_classes, dtype=labels.dtype)[None, :]
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        labels = labels.astype(jnp.float32)
    return mixed(labels, share)


_THIRD, _SQUEEZE = float(np.float32(1) / np.float32(3)), float(np.float32(0.0331))
"""PyTorch has them in single precision, beside doubles."""


def _gamma(generator: Any, alpha: float) -> float:
    """Draw from Gamma(alpha, 1) with the words that PyTorch takes: Marsaglia and Tsang, 2000."""
    scale = 1.0
    if alpha < 1:  # a larger alpha is accepted more often; a power of a uniform number makes up
        scale = (1 - _uniform(generator)) ** (1 / alpha)
        alpha += 1
    d = alpha - _THIRD
    c = 1 / math.sqrt(9 * d)
    while True:
        x = float(generator.normal((1,), 0.0, 1.0, np.float64)[0])
        if (y := 1 + c * x) <= 0:
            continue
        v = y * y * y
        u = 1 - _uniform(generator)
        near = u < 1 - _SQUEEZE * x**4
        if near or math.log(u) < 0.5 * x * x + d * (1 - v + math.log(v)):
            return max(scale * d * v, sys.float_info.min)


def _uniform(generator: Any) -> float:
    """Draw from U[0, 1) in double precision."""
    return float(generator.rand((1,), np.float64)[0])
