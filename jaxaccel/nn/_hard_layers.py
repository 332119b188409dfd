"""Layers of piecewise approximations with bends at both ends."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import hardsigmoid, hardswish, hardtanh, relu6


class Hardtanh(nnx.Module):
    """Clip to an interval (:func:`jaxaccel.functional.hardtanh`).

    Args:
        min_val: The lower end.
        max_val: The upper end, above ``min_val``.

    Raises:
        ValueError: ``max_val`` is not above ``min_val``.

    PyTorch:
        ``torch.nn.Hardtanh``: the same. Left out: ``inplace`` (arrays are immutable), and the old
        names ``min_value`` and ``max_value``. PyTorch raises ``AssertionError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardtanh()(jnp.array([-3.0, 0.5, 3.0])).tolist()
        [-1.0, 0.5, 1.0]
    """

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        if max_val <= min_val:
            raise ValueError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val = min_val
        self.max_val = max_val

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardtanh` of the input."""
        return hardtanh(input, self.min_val, self.max_val)


class ReLU6(nnx.Module):
    """Clip to [0, 6] (:func:`jaxaccel.functional.relu6`).

    PyTorch:
        ``torch.nn.ReLU6``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReLU6()(jnp.array([-1.0, 5.0, 7.0])).tolist()
        [0.0, 5.0, 6.0]
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.relu6` of the input."""
        return relu6(input)


class Hardsigmoid(nnx.Module):
    """Return three straight lines (:func:`jaxaccel.functional.hardsigmoid`).

    PyTorch:
        ``torch.nn.Hardsigmoid``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardsigmoid()(jnp.array([-4.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardsigmoid` of the input."""
        return hardsigmoid(input)


class Hardswish(nnx.Module):
    """Multiply by three straight lines (:func:`jaxaccel.functional.hardswish`).

    PyTorch:
        ``torch.nn.Hardswish``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardswish()(jnp.array([0.0, 3.0])).tolist()
        [0.0, 3.0]
    """

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardswish` of the input."""
        return hardswish(input)
