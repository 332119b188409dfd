"""The adaptive average pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel.nn._bins import bin_counts, check_input, checked_output_size, split_bins


class _AdaptiveAvgPool(nnx.Module):
    """What the adaptive average pools share; ``_axes`` is how many spatial axes there are."""

    _axes: ClassVar[int]

    def __init__(self, output_size: int | Sequence[int | None] | None):
        self._name = f"adaptive_avg_pool{self._axes}d"
        self.output_size = checked_output_size(self._name, self._axes, output_size)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == self._axes + 1:
            return self(input[None])[0]
        if not jnp.issubdtype(input.dtype, jnp.floating):
            raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
        check_input(self._name, input, self._axes)
        mean = input.astype(compute_dtype(input.dtype))
        for axis, size in enumerate(self.output_size, 1):
            length = input.shape[axis]
            if size not in (None, length):
                total = jnp.sum(split_bins(mean, axis, size, 0), axis + 1)
                counts = bin_counts(length, size).astype(total.dtype)
                others = [i for i in range(total.ndim) if i != axis]
                mean = total / jnp.expand_dims(counts, others)
        return mean.astype(input.dtype)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    r"""Take the mean of each bin, channels last: (N, L, C) to (N, output_size, C).

    A series without a batch axis works too. Sums are in float32 at least.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: The length of the output; None keeps
            the input's. Also as a sequence of one.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            two or three axes, or an empty one.
        TypeError: a size that is no int; from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AdaptiveAvgPool1d``: the same values and gradients, channels last. PyTorch takes
        no None for a single axis, and raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveAvgPool1d(3)(jnp.arange(5.0).reshape(1, 5, 1)).ravel().tolist()
        [0.5, 2.0, 3.5]
    """

    _axes = 1


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    r"""Take the mean of each bin, channels last: (N, H, W, C) to (N, H', W', C).

    An image without a batch axis works too. Sums are in float32 at least.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            three or four axes, or an empty one.
        TypeError: a size that is no int; from a call, an input that is not floating point.

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


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    r"""Take the mean of each bin, channels last: (N, D, H, W, C) to (N, D', H', W', C).

    A volume without a batch axis works too. Sums are in float32 at least.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: Depth, height and width of the output, or one number for all; None
            keeps the input's, in a triple too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            four or five axes, or an empty one.
        TypeError: a size that is no int; from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.AdaptiveAvgPool3d``: the same values and gradients, channels last. PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveAvgPool3d((1, 1, 2))(jnp.arange(8.0).reshape(1, 2, 4, 1)).ravel().tolist()
        [2.5, 4.5]
    """

    _axes = 3
