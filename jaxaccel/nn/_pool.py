"""The maximum and average pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import pool_windows
from jaxaccel.functional import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)


class _MaxPool(nnx.Module):
    """What the maximum pools share; ``_pool`` is the function of their ``_axes`` spatial axes."""

    _axes: ClassVar[int]
    _pool: ClassVar[Callable[..., Any]]

    @checked
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        name = f"max_pool{self._axes}d"
        windows = pool_windows(name, self._axes, kernel_size, stride, padding, dilation)
        self.kernel_size, self.stride, self.padding, self.dilation = zip(*windows, strict=True)
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    @checked
    def __call__(self, input: jax.Array) -> Any:
        """Return the output, in the input's dtype, or that and the indices."""
        window = (self.kernel_size, self.stride, self.padding, self.dilation)
        return self._pool(input, *window, self.ceil_mode, self.return_indices)


class MaxPool2d(_MaxPool):
    """Keep the largest value of each window of images (:func:`jaxaccel.functional.max_pool2d`).

    Channels last: (N, H, W, C) to (N, H', W', C); an image without a batch axis works too.

    Args:
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        padding: Rows and columns of minus infinity on every side, at most half a window, one number
            or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        return_indices: Whether to return where each value was too, for :class:`MaxUnpool2d`.
        ceil_mode: Whether a window may hang over the end.

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes or too small.

    PyTorch:
        ``torch.nn.MaxPool2d``: the same values, gradients and indices, channels last. PyTorch
        raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    _axes = 2
    _pool = staticmethod(max_pool2d)


class MaxPool1d(_MaxPool):
    """Keep the largest value of each window of series (:func:`jaxaccel.functional.max_pool1d`).

    Args:
        as :class:`MaxPool2d`, with one number each, for (N, L, C) or (L, C).

    PyTorch:
        as :class:`MaxPool2d`, of ``torch.nn.MaxPool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool1d(3, 1)(jnp.array([[[1.0], [4.0], [2.0], [3.0]]])).ravel().tolist()
        [4.0, 4.0]
    """

    _axes = 1
    _pool = staticmethod(max_pool1d)


class MaxPool3d(_MaxPool):
    """Keep the largest value of each window of volumes (:func:`jaxaccel.functional.max_pool3d`).

    Args:
        as :class:`MaxPool2d`, with three numbers each, or one, for (N, D, H, W, C) or (D, H, W, C).

    PyTorch:
        as :class:`MaxPool2d`, of ``torch.nn.MaxPool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool3d(2)(jnp.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel().tolist()
        [13.0, 15.0]
    """

    _axes = 3
    _pool = staticmethod(max_pool3d)


class _AvgPool(nnx.Module):
    """What the average pools share; ``_pool`` is the function of their ``_axes`` spatial axes."""

    _axes: ClassVar[int]
    _pool: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        if divisor_override == 0:
            raise ValueError("divisor must be not zero")
        name = f"avg_pool{self._axes}d"
        windows = pool_windows(name, self._axes, kernel_size, stride, padding)
        self.kernel_size, self.stride, self.padding, _ = zip(*windows, strict=True)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        window = (self.kernel_size, self.stride, self.padding)
        options = (self.ceil_mode, self.count_include_pad, self.divisor_override)
        return self._pool(input, *window, *options)


class AvgPool2d(_AvgPool):
    """Take the mean of each window of images (:func:`jaxaccel.functional.avg_pool2d`).

    Channels last: (N, H, W, C) to (N, H', W', C); an image without a batch axis works too. Sums are
    in float32 at least.

    Args:
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        padding: Rows and columns of zeros on every side, at most half a window, one number or
            (height, width).
        ceil_mode: Whether a window may hang over the end.
        count_include_pad: Whether the zeros of the padding count as values.
        divisor_override: What to divide the sums by, not 0; None for the number of values.

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes or too small.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AvgPool2d``: the same values and gradients, channels last. Left out: integer
        inputs. PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AvgPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """

    _axes = 2
    _pool = staticmethod(avg_pool2d)


class AvgPool1d(_AvgPool):
    """Take the mean of each window of series (:func:`jaxaccel.functional.avg_pool1d`).

    Args:
        as :class:`AvgPool2d`, with one number each, without ``divisor_override``, for (N, L, C) or
        (L, C).

    PyTorch:
        as :class:`AvgPool2d`, of ``torch.nn.AvgPool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AvgPool1d(2)(jnp.arange(4.0).reshape(1, 4, 1)).ravel().tolist()
        [0.5, 2.5]
    """

    _axes = 1

    @checked
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        window = (self.kernel_size, self.stride, self.padding)
        return avg_pool1d(input, *window, self.ceil_mode, self.count_include_pad)


class AvgPool3d(_AvgPool):
    """Take the mean of each window of volumes (:func:`jaxaccel.functional.avg_pool3d`).

    Args:
        as :class:`AvgPool2d`, with three numbers each, or one, for (N, D, H, W, C) or (D, H, W, C).

    PyTorch:
        as :class:`AvgPool2d`, of ``torch.nn.AvgPool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AvgPool3d(2)(jnp.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel().tolist()
        [6.5, 8.5]
    """

    _axes = 3
    _pool = staticmethod(avg_pool3d)
