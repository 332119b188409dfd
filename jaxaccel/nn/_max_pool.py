"""The maximum pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.nn._window import fold, larger, output_sizes, windows


class _MaxPool(nnx.Module):
    """What the maximum pools share; ``_axes`` is how many spatial axes there are."""

    _axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        *,
        ceil_mode: bool = False,
    ):
        name = f"max_pool{self._axes}d"
        self.windows = windows(name, self._axes, kernel_size, stride, padding, dilation)
        self.ceil_mode = ceil_mode

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == self._axes + 1:
            return self(input[None])[0]
        sizes = output_sizes(input, self.windows, self.ceil_mode)
        floating = jnp.issubdtype(input.dtype, jnp.floating)
        lowest = -jnp.inf if floating else jnp.iinfo(input.dtype).min
        # The last axis first: the order of ties is that of the whole window, row by row.
        for axis in reversed(range(self._axes)):
            input = fold(input, axis + 1, self.windows[axis], sizes[axis], lowest, larger)
        return input


class MaxPool1d(_MaxPool):
    """Keep the largest value of each window, channels last: (N, L, C) to (N, L', C).

    A series without a batch axis works too. Of equal values the first takes the gradient; a NaN
    wins over every number.

    Args:
        kernel_size: Length of the window.
        stride: Step of the window; None for ``kernel_size``.
        padding: Points of minus infinity at both ends, at most half of ``kernel_size``.
        dilation: Distance of the window's points.
        ceil_mode: Whether a window may hang over the end.

    Raises:
        ValueError: a bad argument; from a call, an input without two or three axes or too small.

    PyTorch:
        ``torch.nn.MaxPool1d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools); so ``ceil_mode`` must be named. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool1d(3, 1)(jnp.array([[[1.0], [4.0], [2.0], [3.0]]])).ravel().tolist()
        [4.0, 4.0]
    """

    _axes = 1


class MaxPool2d(_MaxPool):
    """Keep the largest value of each window, channels last: (N, H, W, C) to (N, H', W', C).

    An image without a batch axis works too. Of equal values the first takes the gradient; a NaN
    wins over every number. (The padding is the first in a window at the edge that holds nothing but
    minus infinity: there PyTorch gives the gradient to the first input, here it is lost.)

    Args:
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        padding: Rows and columns of minus infinity on every side, at most half a window, one number
            or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        ceil_mode: Whether a window may hang over the end.

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes or too small.

    PyTorch:
        ``torch.nn.MaxPool2d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools); so ``ceil_mode`` must be named. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    _axes = 2


class MaxPool3d(_MaxPool):
    """Keep the largest value of each window, channels last: (N, D, H, W, C) to (N, D', H', W', C).

    A volume without a batch axis works too. Ties, NaN and minus infinity are as in
    :class:`MaxPool2d`.

    Args:
        kernel_size: Size of the window, one number or (depth, height, width).
        stride: Step of the window, one number or (depth, height, width); None for ``kernel_size``.
        padding: Layers of minus infinity on every side, at most half a window, one number or
            (depth, height, width).
        dilation: Distance of the window's points, one number or (depth, height, width).
        ceil_mode: Whether a window may hang over the end.

    Raises:
        ValueError: a bad argument; from a call, an input without four or five axes or too small.

    PyTorch:
        ``torch.nn.MaxPool3d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools); so ``ceil_mode`` must be named. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.MaxPool3d(2)(jnp.arange(16.0).reshape(1, 2, 2, 4, 1)).ravel().tolist()
        [13.0, 15.0]
    """

    _axes = 3
