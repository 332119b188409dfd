"""The layer of a smooth ramp."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import softplus


class Softplus(nnx.Module):
    """Return a smooth positive part (:func:`jaxaccel.functional.softplus`).

    Args:
        beta: How sharp the bend is, not 0.
        threshold: The ``beta * input`` from where on the function is the identity.

    PyTorch:
        ``torch.nn.Softplus``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Softplus()(jnp.array(0.0))), 4)
        0.6931
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta = beta
        self.threshold = threshold

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.softplus` of the input."""
        return softplus(input, self.beta, self.threshold)
