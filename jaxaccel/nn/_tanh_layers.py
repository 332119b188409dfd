"""Layers of smooth functions between -1 and 1."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.activations import softsign, tanh


class Tanh(nnx.Module):
    """Return the hyperbolic tangent (:func:`jaxaccel.activations.tanh`).

    PyTorch:
        ``torch.nn.Tanh``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Tanh()(jnp.array(1.0))), 4)
        0.7616
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.activations.tanh` of the input."""
        return tanh(input)


class Softsign(nnx.Module):
    """Divide by one more than the magnitude (:func:`jaxaccel.activations.softsign`).

    PyTorch:
        ``torch.nn.Softsign``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.Softsign()(jnp.array(-1.0)))
        -0.5
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.activations.softsign` of the input."""
        return softsign(input)
