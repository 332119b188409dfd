"""Layers that take small inputs away."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import hardshrink, softshrink, tanhshrink


class Tanhshrink(nnx.Module):
    """Subtract the hyperbolic tangent (:func:`jaxaccel.functional.tanhshrink`).

    PyTorch:
        ``torch.nn.Tanhshrink``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Tanhshrink()(jnp.array(1.0))), 4)
        0.2384
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.tanhshrink` of the input."""
        return tanhshrink(input)


class Softshrink(nnx.Module):
    """Move everything towards 0 (:func:`jaxaccel.functional.softshrink`).

    Args:
        lambd: How far, at least 0.

    Raises:
        ValueError: ``lambd`` is negative.

    PyTorch:
        ``torch.nn.Softshrink``: the same. PyTorch raises ``RuntimeError``, when the layer is
        called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Softshrink()(jnp.array([-2.0, 0.25, 2.0])).tolist()
        [-1.5, 0.0, 1.5]
    """

    def __init__(self, lambd: float = 0.5):
        if not lambd >= 0:
            raise ValueError(f"lambda must be at least 0, but found to be {lambd}")
        self.lambd = lambd

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.softshrink` of the input."""
        return softshrink(input, self.lambd)


class Hardshrink(nnx.Module):
    """Zero what is near 0 (:func:`jaxaccel.functional.hardshrink`).

    Args:
        lambd: How far from 0.

    PyTorch:
        ``torch.nn.Hardshrink``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardshrink()(jnp.array([-2.0, 0.25, 2.0])).tolist()
        [-2.0, 0.0, 2.0]
    """

    def __init__(self, lambd: float = 0.5):
        self.lambd = lambd

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardshrink` of the input."""
        return hardshrink(input, self.lambd)
