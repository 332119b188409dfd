"""The layers that turn images into their windows, and back."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._reversed_windows import block_windows
from jaxaccel.functional import fold, unfold


class Unfold(nnx.Module):
    """Return every window of images as a vector (:func:`jaxaccel.functional.unfold`).

    Args:
        kernel_size: Size of the window, one number or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        padding: Rows and columns of zeros on every side, one number or (height, width).
        stride: Step of the window, one number or (height, width).

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes or too small.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.Unfold``, whose (N, C * height * width, L) has its last axes swapped here.
        PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.Unfold(2)(jnp.arange(6.0).reshape(2, 3, 1)).tolist()
        [[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]]
    """

    @checked
    def __init__(
        self,
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ):
        windows = block_windows(kernel_size, dilation, padding, stride)
        self.kernel_size, self.stride, self.padding, self.dilation = zip(*windows, strict=True)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, L, C * height * width), in the input's dtype."""
        return unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)


class Fold(nnx.Module):
    """Add vectors up to the images whose windows they are (:func:`jaxaccel.functional.fold`).

    Args:
        output_size: The images' size, one number or (height, width).
        kernel_size: Size of the window, one number or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        padding: Rows and columns that are left out on every side, one number or (height, width).
        stride: Step of the window, one number or (height, width).

    Raises:
        ValueError: a bad argument; from a call, an input of another number of axes, windows or
            points.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.Fold``, whose input (N, C * height * width, L) has its last axes swapped here.
        PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> blocks = jnp.array([[0.0, 1.0, 3.0, 4.0], [1.0, 2.0, 4.0, 5.0]])
        >>> ja.nn.Fold((2, 3), 2)(blocks)[..., 0].tolist()
        [[0.0, 2.0, 2.0], [3.0, 8.0, 5.0]]
    """

    @checked
    def __init__(
        self,
        output_size: int | Sequence[int],
        kernel_size: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        stride: int | Sequence[int] = 1,
    ):
        windows = block_windows(kernel_size, dilation, padding, stride)
        self.output_size = output_size if isinstance(output_size, int) else tuple(output_size)
        self.kernel_size, self.stride, self.padding, self.dilation = zip(*windows, strict=True)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, H, W, C), in the input's dtype."""
        window = (self.kernel_size, self.dilation, self.padding, self.stride)
        return fold(input, self.output_size, *window)
