"""From images to vectors, in PyTorch's order."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def flatten(input: jax.Array) -> jax.Array:
    """Turn (N, H, W, C) into (N, C * H * W), channels first: the order a PyTorch kernel expects.

    (N, features) stays as it is.
    """
    if input.ndim == 4:
        input = jnp.transpose(input, (0, 3, 1, 2))
    return input.reshape(input.shape[0], -1)
