"""The average pooling layers."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel.nn._window import Window, fold, output_sizes, windows


class _AvgPool(nnx.Module):
    """What the average pools share; ``_axes`` is how many spatial axes there are."""

    _axes: ClassVar[int]

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
        self.windows = windows(name, self._axes, kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == self._axes + 1:
            return self(input[None])[0]
        if not jnp.issubdtype(input.dtype, jnp.floating):
            raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
        sizes = output_sizes(input, self.windows, self.ceil_mode)
        total = input.astype(compute_dtype(input.dtype))
        for axis in reversed(range(self._axes)):
            total = fold(total, axis + 1, self.windows[axis], sizes[axis], 0, operator.add)
        return (total / self._divisor(input, sizes, total.dtype)).astype(input.dtype)

    def _divisor(
        self, input: jax.Array, sizes: tuple[int, ...], dtype: jnp.dtype
    ) -> float | np.ndarray:
        """Return what to divide the sums by: one number where one will do."""
        if self.divisor_override is not None:
            return float(self.divisor_override)
        counts = functools.reduce(
            np.multiply.outer,
            (
                _counts(length, window, size, self.count_include_pad)
                for length, window, size in zip(input.shape[1:-1], self.windows, sizes, strict=True)
            ),
        )
        if (counts == counts.flat[0]).all():
            return float(counts.flat[0])
        return counts[None, ..., None].astype(dtype)


class AvgPool1d(_AvgPool):
    """Take the mean of each window, channels last: (N, L, C) to (N, L', C).

    A series without a batch axis works too. Sums are in float32 at least.

    Args:
        kernel_size: Length of the window.
        stride: Step of the window; None for ``kernel_size``.
        padding: Zeros at both ends, at most half a window.
        ceil_mode: Whether a window may hang over the end.
        count_include_pad: Whether the zeros of the padding count as values.

    Raises:
        ValueError: a bad argument; from a call, an input without two or three axes or too small.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AvgPool1d``: the same values and gradients, channels last. Left out: integer
        inputs. PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AvgPool1d(2)(jnp.arange(4.0).reshape(1, 4, 1)).ravel().tolist()
        [0.5, 2.5]
    """

    _axes = 1

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)


class AvgPool2d(_AvgPool):
    """Take the mean of each window, channels last: (N, H, W, C) to (N, H', W', C).

    An image without a batch axis works too. Sums are in float32 at least.

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


class AvgPool3d(_AvgPool):
    """Take the mean of each window, channels last: (N, D, H, W, C) to (N, D', H', W', C).

    A volume without a batch axis works too. Sums are in float32 at least.

    Args:
        kernel_size: Size of the window, one number or (depth, height, width).
        stride: Step of the window, one number or (depth, height, width); None for ``kernel_size``.
        padding: Layers of zeros on every side, at most half a window, one number or (depth,
            height, width).
        ceil_mode: Whether a window may hang over the end.
        count_include_pad: Whether the zeros of the padding count as values.
        divisor_override: What to divide the sums by, not 0; None for the number of values.

    Raises:
        ValueError: a bad argument; from a call, an input without four or five axes or too small.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AvgPool3d``: the same values and gradients, channels last. Left out: integer
        inputs. PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AvgPool3d(2)(jnp.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel().tolist()
        [6.5, 8.5]
    """

    _axes = 3


def _counts(length: int, window: Window, size: int, count_include_pad: bool) -> np.ndarray:
    """Return how many values each window along one axis holds."""
    start = np.arange(size) * window.stride - window.padding
    # Past the end padding there is nothing to count, in either mode.
    stop = np.minimum(start + window.kernel, length + window.padding)
    if not count_include_pad:
        start, stop = np.maximum(start, 0), np.minimum(stop, length)
    return np.maximum(stop - start, 1)
