"""The average pooling layer."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel.nn._window import Window, fold, output_sizes, windows


class AvgPool2d(nnx.Module):
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
        self.windows = windows("avg_pool2d", kernel_size, stride, padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == 3:
            return self(input[None])[0]
        if not jnp.issubdtype(input.dtype, jnp.floating):
            raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
        sizes = output_sizes(input, self.windows, self.ceil_mode)
        total = input.astype(compute_dtype(input.dtype))
        for axis in (2, 1):
            window, size = self.windows[axis - 1], sizes[axis - 1]
            total = fold(total, axis, window, size, 0, operator.add)
        return (total / self._divisor(input, sizes, total.dtype)).astype(input.dtype)

    def _divisor(
        self, input: jax.Array, sizes: tuple[int, int], dtype: jnp.dtype
    ) -> float | np.ndarray:
        """Return what to divide the sums by: one number where one will do."""
        if self.divisor_override is not None:
            return float(self.divisor_override)
        rows, columns = (
            _counts(input.shape[axis + 1], self.windows[axis], sizes[axis], self.count_include_pad)
            for axis in (0, 1)
        )
        counts = np.outer(rows, columns)
        if (counts == counts[0, 0]).all():
            return float(counts[0, 0])
        return counts[None, :, :, None].astype(dtype)


def _counts(length: int, window: Window, size: int, count_include_pad: bool) -> np.ndarray:
    """Return how many values each window along one axis holds."""
    start = np.arange(size) * window.stride - window.padding
    # Past the end padding there is nothing to count, in either mode.
    stop = np.minimum(start + window.kernel, length + window.padding)
    if not count_include_pad:
        start, stop = np.maximum(start, 0), np.minimum(stop, length)
    return np.maximum(stop - start, 1)
