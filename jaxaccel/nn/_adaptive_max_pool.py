"""The adaptive maximum pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.nn._bins import check_input, checked_output_size, split_bins
from jaxaccel.nn._window import Window, fold, larger


class _AdaptiveMaxPool(nnx.Module):
    """What the adaptive maximum pools share; ``_axes`` is how many spatial axes there are."""

    _axes: ClassVar[int]

    def __init__(self, output_size: int | Sequence[int | None] | None):
        self._name = f"adaptive_max_pool{self._axes}d"
        self.output_size = checked_output_size(self._name, self._axes, output_size)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        if input.ndim == self._axes + 1:
            return self(input[None])[0]
        check_input(self._name, input, self._axes)
        floating = jnp.issubdtype(input.dtype, jnp.floating)
        lowest = -jnp.inf if floating else jnp.iinfo(input.dtype).min
        # The last axis first: the order of ties is that of the whole bin, row by row.
        for axis, size in reversed(list(enumerate(self.output_size, 1))):
            if size not in (None, input.shape[axis]):
                input = _largest(split_bins(input, axis, size, lowest), axis + 1, lowest)
        return input


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    r"""Keep the largest value of each bin, channels last: (N, L, C) to (N, output_size, C).

    A series without a batch axis works too. Of equal values the first takes the gradient; a
    NaN wins over every number.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: The length of the output; None keeps
            the input's. Also as a sequence of one.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            two or three axes, or an empty one.
        TypeError: a size that is no int.

    PyTorch:
        ``torch.nn.AdaptiveMaxPool1d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools). PyTorch takes no None for a
        single axis, and raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool1d(3)(jnp.arange(5.0).reshape(1, 5, 1)).ravel().tolist()
        [1.0, 3.0, 4.0]
    """

    _axes = 1


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    r"""Keep the largest value of each bin, channels last: (N, H, W, C) to (N, H', W', C).

    An image without a batch axis works too. Of equal values the first takes the gradient; a
    NaN wins over every number.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            three or four axes, or an empty one.
        TypeError: a size that is no int.

    PyTorch:
        ``torch.nn.AdaptiveMaxPool2d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools). PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool2d(2)(jnp.arange(16.0).reshape(1, 4, 4, 1)).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """

    _axes = 2


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    r"""Keep the largest value of each bin, channels last: (N, D, H, W, C) to (N, D', H', W', C).

    A volume without a batch axis works too. Of equal values the first takes the gradient; a
    NaN wins over every number.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        output_size: Depth, height and width of the output, or one number for all; None
            keeps the input's, in a triple too.

    Raises:
        ValueError: a negative size or another number of them; from a call, an input without
            four or five axes, or an empty one.
        TypeError: a size that is no int.

    PyTorch:
        ``torch.nn.AdaptiveMaxPool3d``: the same values and gradients, channels last. Left out:
        ``return_indices`` (nothing here unpools). PyTorch raises
        ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.AdaptiveMaxPool3d((1, 1, 2))(jnp.arange(8.0).reshape(1, 2, 4, 1)).ravel().tolist()
        [5.0, 7.0]
    """

    _axes = 3


def _largest(x: jax.Array, axis: int, lowest: float) -> jax.Array:
    """Return the largest along an axis, which is halved until nothing is left of it."""
    while (count := x.shape[axis]) > 1:
        # Neighbours, so that the first of equals stays the first.
        x = fold(x, axis, Window(2, 2, 0, 1), (count + 1) // 2, lowest, larger)
    return jnp.squeeze(x, axis)
