"""Local response normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._channels import check_channel_axis
from jaxaccel.functional._moments import check_dtypes


def _name(arguments: Mapping[str, Any]) -> str:
    """Return a name: PyTorch's pool of sequences is another operation than that of images."""
    return "local_response_norm" + "1d" * (arguments["input"].ndim == 3)


@checked
@operation(_name, names=("local_response_norm", "local_response_norm1d"))
def local_response_norm(
    input: jax.Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    channel_axis: int = -1,
) -> jax.Array:
    r"""Divide each value by a power of the mean square of its neighbours in other channels.

    .. math::
        y_c = x_c \Big/ \Big(k + \frac{\alpha}{n}
        \sum_{i = c - \lfloor n / 2 \rfloor}^{c + \lfloor (n - 1) / 2 \rfloor} x_i^2\Big)^\beta

    Channels beyond the first and the last count as zeros. The arithmetic is in float32 at least.

    Args:
        input: Three or more dimensions, the batch first, floating point.
        size: The neighbours n, itself among them; positive.
        alpha: The weight of the mean square.
        beta: The exponent.
        k: Added to the weighted mean square.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Returns:
        An array of the shape and dtype of the input.

    Raises:
        ValueError: fewer dimensions, a ``size`` that is not positive, or a ``channel_axis`` that is
            no axis or the batch's.
        TypeError: ``size`` is not an int, or the input is not floating point.

    PyTorch:
        ``torch.nn.functional.local_response_norm``: the same values and gradients, but channels are
        last. As in PyTorch ``alpha`` weighs the mean, where the paper weighs the sum. PyTorch
        raises ``RuntimeError`` for ``size``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[1.0, 2.0, 3.0]]])
        >>> y = ja.functional.local_response_norm(x, size=3, alpha=1.0, beta=0.5)
        >>> [round(float(value), 4) for value in y[0, 0]]
        [0.6124, 0.8402, 1.299]

    References:
        Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep Convolutional Neural
        Networks. 2012. https://papers.nips.cc/paper/4824
    """
    channel_axis = _check(input, size, channel_axis)
    if input.size == 0:
        return input
    x = input.astype(compute_dtype(input.dtype))
    window, padding = [1] * x.ndim, [(0, 0)] * x.ndim
    window[channel_axis] = size
    padding[channel_axis] = (size // 2, (size - 1) // 2)
    zero = np.zeros((), x.dtype)
    total = jax.lax.reduce_window(x * x, zero, jax.lax.add, window, [1] * x.ndim, padding)
    return (x / (total * (alpha / size) + k) ** beta).astype(input.dtype)


def _check(input: jax.Array, size: int, channel_axis: int) -> int:
    """Check the arguments, with PyTorch's texts; return the channel axis from the front."""
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(
            f"local_response_norm(): argument 'size' must be int, not {type(size).__name__}"
        )
    if input.ndim < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if size <= 0:
        kernel = f"kH: {size} kW: 1" if input.ndim == 3 else f"kT: {size} kH: 1 kW: 1"
        raise ValueError(f"kernel size should be greater than zero, but got {kernel}")
    check_dtypes(input)
    return check_channel_axis(input, channel_axis)
