"""Layers of smooth functions between -1 and 1."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import softsign, tanh


class Tanh(nnx.Module):
    """Return the hyperbolic tangent (:func:`jaxaccel.functional.tanh`).

    PyTorch:
        ``torch.nn.Tanh``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Tanh()(jnp.array(1.0))), 4)
        0.7616
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.tanh` of the input."""
        return tanh(input)


class Softsign(nnx.Module):
    """Divide by one more than the magnitude (:func:`jaxaccel.functional.softsign`).

    PyTorch:
        ``torch.nn.Softsign``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.Softsign()(jnp.array(-1.0)))
        -0.5
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.softsign` of the input."""
        return softsign(input)
