"""Layers of the logistic function."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import glu, logsigmoid, sigmoid


class Sigmoid(nnx.Module):
    """Return the logistic function (:func:`jaxaccel.functional.sigmoid`).

    PyTorch:
        ``torch.nn.Sigmoid``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.Sigmoid()(jnp.array(0.0)))
        0.5
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.sigmoid` of the input."""
        return sigmoid(input)


class LogSigmoid(nnx.Module):
    """Return the logarithm of the sigmoid (:func:`jaxaccel.functional.logsigmoid`).

    PyTorch:
        ``torch.nn.LogSigmoid``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.LogSigmoid()(jnp.array(-1000.0)))
        -1000.0
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.logsigmoid` of the input."""
        return logsigmoid(input)


class GLU(nnx.Module):
    """Gate one half of the input by the other (:func:`jaxaccel.functional.glu`).

    Args:
        dim: The axis that is halved, as the input has it: -1 is the channels where they are last.

    Raises:
        ValueError: from a call, the axis has an odd length.

    PyTorch:
        ``torch.nn.GLU``: the same. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.GLU()(jnp.array([3.0, 0.0])).tolist()
        [1.5]
    """

    def __init__(self, dim: int = -1):
        self.dim = dim

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.glu` of the input."""
        return glu(input, self.dim)
