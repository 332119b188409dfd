"""Layers that multiply by a smooth step."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import gelu, mish, silu


class GELU(nnx.Module):
    """Multiply by the normal distribution function (:func:`jaxaccel.functional.gelu`).

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the approximation (the default of
            ``jax.nn.gelu``).

    Raises:
        ValueError: another ``approximate``.

    PyTorch:
        ``torch.nn.GELU``: the same. PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.GELU()(jnp.array(1.0))), 4)
        0.8413
    """

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError("approximate argument must be either none or tanh.")
        self.approximate = approximate

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.gelu` of the input."""
        return gelu(input, self.approximate)


class SiLU(nnx.Module):
    """Multiply by the sigmoid (:func:`jaxaccel.functional.silu`).

    PyTorch:
        ``torch.nn.SiLU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.SiLU()(jnp.array(1.0))), 4)
        0.7311
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.silu` of the input."""
        return silu(input)


class Mish(nnx.Module):
    """Multiply by the tangent of the softplus (:func:`jaxaccel.functional.mish`).

    PyTorch:
        ``torch.nn.Mish``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Mish()(jnp.array(1.0))), 4)
        0.8651
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.mish` of the input."""
        return mish(input)
