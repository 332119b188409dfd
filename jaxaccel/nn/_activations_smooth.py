"""Layers of exponentials, sigmoids and tangents.

ELU, SELU, CELU, GELU, SiLU, Mish, Sigmoid, LogSigmoid, Tanh, Softsign, Softplus, Tanhshrink.
"""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    celu,
    elu,
    gelu,
    logsigmoid,
    mish,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
    tanhshrink,
)
from jaxaccel.nn._elementwise import Elementwise


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

    @checked
    def __init__(self, alpha: float = 1.0):
        self.alpha = alpha

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.elu` of the input."""
        return elu(input, self.alpha)


class SELU(Elementwise):
    """Normalize by itself, layer after layer (:func:`jaxaccel.functional.selu`).

    PyTorch:
        ``torch.nn.SELU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.SELU()(jnp.array(1.0))), 4)
        1.0507
    """

    _function = staticmethod(selu)


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

    @checked
    def __init__(self, alpha: float = 1.0):
        if alpha == 0:
            raise ValueError("ZeroDivisionError: alpha cannot be 0 for CELU")
        self.alpha = alpha

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.celu` of the input."""
        return celu(input, self.alpha)


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

    @checked
    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError("approximate argument must be either none or tanh.")
        self.approximate = approximate

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.gelu` of the input."""
        return gelu(input, self.approximate)


class SiLU(Elementwise):
    """Multiply by the sigmoid (:func:`jaxaccel.functional.silu`).

    PyTorch:
        ``torch.nn.SiLU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.SiLU()(jnp.array(1.0))), 4)
        0.7311
    """

    _function = staticmethod(silu)


class Mish(Elementwise):
    """Multiply by the tangent of the softplus (:func:`jaxaccel.functional.mish`).

    PyTorch:
        ``torch.nn.Mish``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Mish()(jnp.array(1.0))), 4)
        0.8651
    """

    _function = staticmethod(mish)


class Sigmoid(Elementwise):
    """Return the logistic function (:func:`jaxaccel.functional.sigmoid`).

    PyTorch:
        ``torch.nn.Sigmoid``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.Sigmoid()(jnp.array(0.0)))
        0.5
    """

    _function = staticmethod(sigmoid)


class LogSigmoid(Elementwise):
    """Return the logarithm of the sigmoid (:func:`jaxaccel.functional.logsigmoid`).

    PyTorch:
        ``torch.nn.LogSigmoid``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.LogSigmoid()(jnp.array(-1000.0)))
        -1000.0
    """

    _function = staticmethod(logsigmoid)


class Tanh(Elementwise):
    """Return the hyperbolic tangent (:func:`jaxaccel.functional.tanh`).

    PyTorch:
        ``torch.nn.Tanh``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Tanh()(jnp.array(1.0))), 4)
        0.7616
    """

    _function = staticmethod(tanh)


class Softsign(Elementwise):
    """Divide by one more than the magnitude (:func:`jaxaccel.functional.softsign`).

    PyTorch:
        ``torch.nn.Softsign``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.nn.Softsign()(jnp.array(-1.0)))
        -0.5
    """

    _function = staticmethod(softsign)


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

    @checked
    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        self.beta = beta
        self.threshold = threshold

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.softplus` of the input."""
        return softplus(input, self.beta, self.threshold)


class Tanhshrink(Elementwise):
    """Subtract the hyperbolic tangent (:func:`jaxaccel.functional.tanhshrink`).

    PyTorch:
        ``torch.nn.Tanhshrink``: the same.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.nn.Tanhshrink()(jnp.array(1.0))), 4)
        0.2384
    """

    _function = staticmethod(tanhshrink)
