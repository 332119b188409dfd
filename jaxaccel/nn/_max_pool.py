"""The maximum pooling layer."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.nn._window import fold, output_sizes, windows


class MaxPool2d(nnx.Module):
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

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        *,
        ceil_mode: bool = False,
    ):
        self.windows = windows("max_pool2d", kernel_size, stride, padding, dilation)
        self.ceil_mode = ceil_mode

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == 3:
            return self(input[None])[0]
        height, width = output_sizes(input, self.windows, self.ceil_mode)
        floating = jnp.issubdtype(input.dtype, jnp.floating)
        lowest = -jnp.inf if floating else jnp.iinfo(input.dtype).min
        # Columns, then rows: the order of ties is that of the whole window, row by row.
        output = fold(input, 2, self.windows[1], width, lowest, _larger)
        return fold(output, 1, self.windows[0], height, lowest, _larger)


def _larger(best: jax.Array, new: jax.Array) -> jax.Array:
    """Return the larger value, the first of equals, NaN before all."""
    return jnp.where((new > best) | (new != new), new, best)
