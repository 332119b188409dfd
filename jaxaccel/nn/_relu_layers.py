"""Layers of straight lines with one bend."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import leaky_relu, relu, threshold


class ReLU(nnx.Module):
    """Keep what is positive and zero the rest (:func:`jaxaccel.functional.relu`).

    PyTorch:
        ``torch.nn.ReLU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReLU()(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.relu` of the input."""
        return relu(input)


class LeakyReLU(nnx.Module):
    """Scale what is negative down (:func:`jaxaccel.functional.leaky_relu`).

    Args:
        negative_slope: The factor for what is not positive.

    PyTorch:
        ``torch.nn.LeakyReLU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.LeakyReLU(0.5)(jnp.array([-1.0, 2.0])).tolist()
        [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 1e-2):
        self.negative_slope = negative_slope

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.leaky_relu` of the input."""
        return leaky_relu(input, self.negative_slope)


class Threshold(nnx.Module):
    """Replace what is not above a threshold (:func:`jaxaccel.functional.threshold`).

    Args:
        threshold: What an element must exceed to stay.
        value: What the others become.

    PyTorch:
        ``torch.nn.Threshold``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Threshold(2.0, -1.0)(jnp.array([1.0, 3.0])).tolist()
        [-1.0, 3.0]
    """

    def __init__(self, threshold: float, value: float):
        self.threshold = threshold
        self.value = value

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.threshold` of the input."""
        return threshold(input, self.threshold, self.value)
