"""The layers that pool by p-norms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import pool_windows
from jaxaccel.functional import lp_pool1d, lp_pool2d, lp_pool3d


class _LPPool(nnx.Module):
    """What they share; ``_pool`` is the function of their ``_axes`` spatial axes."""

    _axes: ClassVar[int]
    _pool: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(
        self,
        norm_type: float,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        ceil_mode: bool = False,
    ):
        pool_windows(self._pool.__name__, self._axes, kernel_size, stride, 0)
        self.norm_type = norm_type
        self.kernel_size = kernel_size if isinstance(kernel_size, int) else tuple(kernel_size)
        self.stride = stride if stride is None or isinstance(stride, int) else tuple(stride)
        self.ceil_mode = ceil_mode

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        window = (self.kernel_size, self.stride, self.ceil_mode)
        return self._pool(input, self.norm_type, *window)


class LPPool2d(_LPPool):
    """Return the p-norm of each window of images (:func:`jaxaccel.functional.lp_pool2d`).

    Args:
        norm_type: p; infinity for the largest magnitude, minus infinity for the smallest.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        ceil_mode: Whether a window may hang over the end.

    Raises:
        ValueError: a bad argument; from a call, an input without three or four axes or too small.
        TypeError: from a call, an input that is not floating point.
        ZeroDivisionError: from a call, where ``norm_type`` is 0.

    PyTorch:
        ``torch.nn.LPPool2d``: the same values and gradients, channels last. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.LPPool2d(2, (1, 2))(jnp.array([[[[3.0], [4.0]]]])).ravel().tolist()
        [5.0]
    """

    _axes = 2
    _pool = staticmethod(lp_pool2d)


class LPPool1d(_LPPool):
    """Return the p-norm of each window of series (:func:`jaxaccel.functional.lp_pool1d`).

    Args:
        as :class:`LPPool2d`, of one number each.

    Raises:
        as :class:`LPPool2d`, of an input without two or three axes.

    PyTorch:
        as :class:`LPPool2d`, of ``torch.nn.LPPool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.LPPool1d(2, 2)(jnp.array([[3.0], [4.0]])).ravel().tolist()
        [5.0]
    """

    _axes = 1
    _pool = staticmethod(lp_pool1d)


class LPPool3d(_LPPool):
    """Return the p-norm of each window of volumes (:func:`jaxaccel.functional.lp_pool3d`).

    Args:
        as :class:`LPPool2d`, of three numbers, or one each.

    Raises:
        as :class:`LPPool2d`, of an input without four or five axes.

    PyTorch:
        as :class:`LPPool2d`, of ``torch.nn.LPPool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.LPPool3d(2, (1, 1, 2))(jnp.array([[[[3.0], [4.0]]]])).ravel().tolist()
        [5.0]
    """

    _axes = 3
    _pool = staticmethod(lp_pool3d)
