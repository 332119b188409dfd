"""Layers of exponential linear units."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import celu, elu, selu


class ELU(nnx.Module):
    """Let what is negative saturate at ``-alpha`` (:func:`jaxaccel.functional.elu`).

    Args:
        alpha: Minus the limit at minus infinity.

    PyTorch:
        ``torch.nn.ELU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.ELU()(jnp.array(-1.0))), 4)
        -0.6321
    """

    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.elu` of the input."""
        return elu(input, self.alpha)


class SELU(nnx.Module):
    """Normalise by itself, layer after layer (:func:`jaxaccel.functional.selu`).

    PyTorch:
        ``torch.nn.SELU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.SELU()(jnp.array(1.0))), 4)
        1.0507
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.selu` of the input."""
        return selu(input)


class CELU(nnx.Module):
    """Saturate at ``-alpha`` with no bend at 0 (:func:`jaxaccel.functional.celu`).

    Args:
        alpha: Minus the limit at minus infinity, not 0.

    Raises:
        ValueError: ``alpha`` is 0.

    PyTorch:
        ``torch.nn.CELU``: the same. Left out: ``inplace`` (arrays are immutable). PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.CELU(2.0)(jnp.array(-2.0))), 4)
        -1.2642
    """

    def __init__(self, alpha: float = 1.0):
        if alpha == 0:
            raise ValueError("ZeroDivisionError: alpha cannot be 0 for CELU")
        self.alpha = alpha

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.celu` of the input."""
        return celu(input, self.alpha)
