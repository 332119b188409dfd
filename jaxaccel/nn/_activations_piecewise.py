"""Layers of straight lines that meet.

ReLU, LeakyReLU, PReLU, Threshold, Hardtanh, ReLU6, Hardsigmoid, Hardswish, Hardshrink, Softshrink.
"""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._filled import filled
from jaxaccel._shapes import checked_shape
from jaxaccel._types import DType
from jaxaccel.functional import (
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    leaky_relu,
    prelu,
    relu,
    relu6,
    softshrink,
    threshold,
)
from jaxaccel.nn._arguments import parameter_dtype
from jaxaccel.nn._elementwise import Elementwise


class ReLU(Elementwise):
    """Keep what is positive and zero the rest (:func:`jaxaccel.functional.relu`).

    PyTorch:
        ``torch.nn.ReLU``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReLU()(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    _function = staticmethod(relu)


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

    @checked
    def __init__(self, negative_slope: float = 1e-2):
        self.negative_slope = negative_slope

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.leaky_relu` of the input."""
        return leaky_relu(input, self.negative_slope)


class PReLU(nnx.Module):
    """Scale what is negative by a slope that is learned (:func:`jaxaccel.functional.prelu`).

    ``weight`` is (num_parameters,). It should not decay.

    Args:
        num_parameters: 1, or the number of channels, which are last.
        init: Where the slopes start.
        dtype: Of the slopes and so of the input; None for float32.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input with another number of channels.
        TypeError: from a call, an input of another dtype.

    PyTorch:
        ``torch.nn.PReLU``: the same, channels last. Left out: ``device`` (JAX places arrays). The
        layer draws nothing and takes no ``rngs``. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.PReLU(init=0.5)(jnp.array([-1.0, 2.0], jnp.float32)).tolist()
        [-0.5, 2.0]

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers. 2015. https://arxiv.org/abs/1502.01852
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        dtype: DType | None = None,
        *,
        channel_axis: int = -1,
    ):
        self.num_parameters = num_parameters
        self.init = init
        self.channel_axis = channel_axis
        shape = checked_shape((num_parameters,))
        self.weight = nnx.Param(filled(shape, init, parameter_dtype(dtype)))

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, of the input's shape and dtype."""
        return prelu(input, self.weight[...], channel_axis=self.channel_axis)


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

    @checked
    def __init__(self, threshold: float, value: float):
        self.threshold = threshold
        self.value = value

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.threshold` of the input."""
        return threshold(input, self.threshold, self.value)


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

    @checked
    def __init__(self, min_val: float = -1.0, max_val: float = 1.0):
        if max_val <= min_val:
            raise ValueError(f"max_val ({max_val}) must be greater than min_val ({min_val})")
        self.min_val = min_val
        self.max_val = max_val

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardtanh` of the input."""
        return hardtanh(input, self.min_val, self.max_val)


class ReLU6(Elementwise):
    """Clip to [0, 6] (:func:`jaxaccel.functional.relu6`).

    PyTorch:
        ``torch.nn.ReLU6``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ReLU6()(jnp.array([-1.0, 5.0, 7.0])).tolist()
        [0.0, 5.0, 6.0]
    """

    _function = staticmethod(relu6)


class Hardsigmoid(Elementwise):
    """Return three straight lines (:func:`jaxaccel.functional.hardsigmoid`).

    PyTorch:
        ``torch.nn.Hardsigmoid``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardsigmoid()(jnp.array([-4.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]
    """

    _function = staticmethod(hardsigmoid)


class Hardswish(Elementwise):
    """Multiply by three straight lines (:func:`jaxaccel.functional.hardswish`).

    PyTorch:
        ``torch.nn.Hardswish``: the same. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Hardswish()(jnp.array([0.0, 3.0])).tolist()
        [0.0, 3.0]
    """

    _function = staticmethod(hardswish)


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

    @checked
    def __init__(self, lambd: float = 0.5):
        self.lambd = lambd

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.hardshrink` of the input."""
        return hardshrink(input, self.lambd)


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

    @checked
    def __init__(self, lambd: float = 0.5):
        if not lambd >= 0:
            raise ValueError(f"lambda must be at least 0, but found to be {lambd}")
        self.lambd = lambd

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return :func:`jaxaccel.functional.softshrink` of the input."""
        return softshrink(input, self.lambd)
