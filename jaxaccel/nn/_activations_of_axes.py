"""Layers whose numbers depend on the others of an axis: Softmax, LogSoftmax, Softmin, GLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import glu, log_softmax, softmax, softmin
from jaxaccel.nn._elementwise import Elementwise


class _OfAxis(nnx.Module):
    """What the layers of an axis share; ``_function`` is their function."""

    _function: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(self, dim: int):
        self.dim = dim

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the layer's function of the input, in the input's dtype."""
        return self._function(input, self.dim)


def _softmax_of_channels(input: jax.Array) -> jax.Array:
    """Return the softmax of the channels, with PyTorch's text for what has none."""
    if input.ndim not in (3, 4):
        raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
    return softmax(input, -1)


class Softmax(_OfAxis):
    """Return exponentials over their sum (:func:`jaxaccel.functional.softmax`).

    Args:
        dim: The axis, as the input has it.

    Raises:
        IndexError: from a call, there is no axis ``dim``.

    PyTorch:
        ``torch.nn.Softmax``: the same. Left out: the deprecated choice of an axis when ``dim`` is
        not given (it depends on where channels are).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Softmax(0)(jnp.array([0.0, 0.0])).tolist()
        [0.5, 0.5]
    """

    _function = staticmethod(softmax)


class Softmax2d(Elementwise):
    """Return the softmax of the channels of images (:func:`jaxaccel.functional.softmax`).

    Channels last: (N, H, W, C) or (H, W, C).

    Raises:
        ValueError: from a call, an input without three or four axes.

    PyTorch:
        ``torch.nn.Softmax2d``: the same, channels last.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Softmax2d()(jnp.zeros((1, 1, 4))).tolist()
        [[[0.25, 0.25, 0.25, 0.25]]]
    """

    _function = staticmethod(_softmax_of_channels)


class LogSoftmax(_OfAxis):
    """Return the logarithm of the softmax (:func:`jaxaccel.functional.log_softmax`).

    Args:
        dim: The axis, as the input has it.

    Raises:
        IndexError: from a call, there is no axis ``dim``.

    PyTorch:
        ``torch.nn.LogSoftmax``: the same. Left out: the deprecated choice of an axis when ``dim``
        is not given (it depends on where channels are).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.LogSoftmax(0)(jnp.array([0.0, -1000.0])).tolist()
        [0.0, -1000.0]
    """

    _function = staticmethod(log_softmax)


class Softmin(_OfAxis):
    """Return the softmax of minus the input (:func:`jaxaccel.functional.softmin`).

    Args:
        dim: The axis, as the input has it.

    Raises:
        IndexError: from a call, there is no axis ``dim``.

    PyTorch:
        ``torch.nn.Softmin``: the same. Left out: the deprecated choice of an axis when ``dim`` is
        not given (it depends on where channels are).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Softmin(0)(jnp.array([0.0, 1000.0])).tolist()
        [1.0, 0.0]
    """

    _function = staticmethod(softmin)


class GLU(_OfAxis):
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

    _function = staticmethod(glu)

    @checked
    def __init__(self, dim: int = -1):
        super().__init__(dim)
