"""The adaptive pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._spatial import pool_output_size
from jaxaccel.functional import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)


class _AdaptivePool(nnx.Module):
    """What the average pools share; ``_pool`` is the function of their ``_axes`` spatial axes."""

    _axes: ClassVar[int]
    _pool: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(self, output_size: int | Sequence[int | None] | None):
        self.output_size = pool_output_size(self._pool.__name__, self._axes, output_size)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        return self._pool(input, self.output_size)


class _AdaptiveMaxPool(nnx.Module):
    """What the adaptive maximum pools share."""

    _axes: ClassVar[int]
    _pool: ClassVar[Callable[..., Any]]

    @checked
    def __init__(
        self, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ):
        self.output_size = pool_output_size(self._pool.__name__, self._axes, output_size)
        self.return_indices = return_indices

    @checked
    def __call__(self, input: jax.Array) -> Any:
        """Return the output, in the input's dtype, or that and the indices."""
        return self._pool(input, self.output_size, self.return_indices)


class AdaptiveAvgPool2d(_AdaptivePool):
    """Take the mean of each bin of images.

    :func:`jaxaccel.functional.adaptive_avg_pool2d`, channels last: (N, H, W, C) to
    (N, H', W', C); an image without a batch axis works too. Sums are
    in float32 at least.

    Args:
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            three or four axes, or an empty one.
        TypeError: a size that is not an int; from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AdaptiveAvgPool2d``: the same values and gradients, channels last. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveAvgPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """

    _axes = 2
    _pool = staticmethod(adaptive_avg_pool2d)


class AdaptiveAvgPool1d(_AdaptivePool):
    """Take the mean of each bin of series (:func:`jaxaccel.functional.adaptive_avg_pool1d`).

    Args:
        as :class:`AdaptiveAvgPool2d`, with one size, for (N, L, C) or (L, C).

    PyTorch:
        as :class:`AdaptiveAvgPool2d`, of ``torch.nn.AdaptiveAvgPool1d``, which takes no
        None.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveAvgPool1d(3)(jnp.arange(5.0).reshape(1, 5, 1)).ravel().tolist()
        [0.5, 2.0, 3.5]
    """

    _axes = 1
    _pool = staticmethod(adaptive_avg_pool1d)


class AdaptiveAvgPool3d(_AdaptivePool):
    """Take the mean of each bin of volumes (:func:`jaxaccel.functional.adaptive_avg_pool3d`).

    Args:
        as :class:`AdaptiveAvgPool2d`, with three sizes, or one, for (N, D, H, W, C) or
        (D, H, W, C).

    PyTorch:
        as :class:`AdaptiveAvgPool2d`, of ``torch.nn.AdaptiveAvgPool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveAvgPool3d((1, 1, 2))(jnp.arange(8.0).reshape(1, 2, 4, 1)).ravel().tolist()
        [2.5, 4.5]
    """

    _axes = 3
    _pool = staticmethod(adaptive_avg_pool3d)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    """Keep the largest value of each bin of images.

    :func:`jaxaccel.functional.adaptive_max_pool2d`, channels last: (N, H, W, C) to
    (N, H', W', C); an image without a batch axis works too.

    Args:
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.
        return_indices: Whether to return where each value was too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            three or four axes, or an empty one.
        TypeError: a size that is not an int.

    PyTorch:
        ``torch.nn.AdaptiveMaxPool2d``: the same values, gradients and indices, channels last.
        PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    _axes = 2
    _pool = staticmethod(adaptive_max_pool2d)


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    """Keep the largest of each bin of series (:func:`jaxaccel.functional.adaptive_max_pool1d`).

    Args:
        as :class:`AdaptiveMaxPool2d`, with one size, for (N, L, C) or (L, C).

    PyTorch:
        as :class:`AdaptiveMaxPool2d`, of ``torch.nn.AdaptiveMaxPool1d``, which takes no
        None.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool1d(3)(jnp.arange(5.0).reshape(1, 5, 1)).ravel().tolist()
        [1.0, 3.0, 4.0]
    """

    _axes = 1
    _pool = staticmethod(adaptive_max_pool1d)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    """Keep the largest of each bin of volumes (:func:`jaxaccel.functional.adaptive_max_pool3d`).

    Args:
        as :class:`AdaptiveMaxPool2d`, with three sizes, or one, for (N, D, H, W, C) or
        (D, H, W, C).

    PyTorch:
        as :class:`AdaptiveMaxPool2d`, of ``torch.nn.AdaptiveMaxPool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool3d((1, 1, 2))(jnp.arange(8.0).reshape(1, 2, 4, 1)).ravel().tolist()
        [5.0, 7.0]
    """

    _axes = 3
    _pool = staticmethod(adaptive_max_pool3d)
