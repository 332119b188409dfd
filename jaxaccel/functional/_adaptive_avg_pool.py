"""Adaptive average pooling."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._spatial import pool_output_size
from jaxaccel.functional._pool_bins import bin_counts, check_input, split_bins


@checked
@operation("adaptive_avg_pool2d")
def adaptive_avg_pool2d(
    input: jax.Array, output_size: int | Sequence[int | None] | None
) -> jax.Array:
    r"""Take the mean of each bin, channels last. Sums are in float32 at least.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        input: (N, H, W, C), or (H, W, C), floating point.
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype.

    Raises:
        ValueError: a negative size or another number of them, an input without three or four axes,
            or an empty one.
        TypeError: a size that is not an int, or ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.adaptive_avg_pool2d``: the same values and gradients, channels last.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> ja.functional.adaptive_avg_pool2d(x, 2).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@checked
@operation("adaptive_avg_pool1d")
def adaptive_avg_pool1d(
    input: jax.Array, output_size: int | Sequence[int | None] | None
) -> jax.Array:
    """Take the mean of each bin of series, channels last. Sums are in float32 at least.

    Args:
        as :func:`adaptive_avg_pool2d`, for an input (N, L, C) or (L, C) and its length.

    Returns:
        (N, L', C), or (L', C), in the input's dtype.

    Raises:
        as :func:`adaptive_avg_pool2d`, of an input without two or three axes.

    PyTorch:
        as :func:`adaptive_avg_pool2d`, of ``torch.nn.functional.adaptive_avg_pool1d``, which takes
        no None.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(5.0).reshape(1, 5, 1)
        >>> ja.functional.adaptive_avg_pool1d(x, 3).ravel().tolist()
        [0.5, 2.0, 3.5]
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@checked
@operation("adaptive_avg_pool3d")
def adaptive_avg_pool3d(
    input: jax.Array, output_size: int | Sequence[int | None] | None
) -> jax.Array:
    """Take the mean of each bin of volumes, channels last. Sums are in float32 at least.

    Args:
        as :func:`adaptive_avg_pool2d`, for an input (N, D, H, W, C) or (D, H, W, C) and three
        sizes, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype.

    Raises:
        as :func:`adaptive_avg_pool2d`, of an input without four or five axes.

    PyTorch:
        as :func:`adaptive_avg_pool2d`, of ``torch.nn.functional.adaptive_avg_pool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(8.0).reshape(1, 2, 4, 1)
        >>> ja.functional.adaptive_avg_pool3d(x, (1, 1, 2)).ravel().tolist()
        [2.5, 4.5]
    """
    return _adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


def _adaptive_avg_pool(
    name: str, axes: int, input: jax.Array, output_size: int | Sequence[int | None] | None
) -> jax.Array:
    """Return the means of the bins, of an input with or without a batch axis."""
    sizes = pool_output_size(name, axes, output_size)
    check_input(name, input, axes, sizes)
    if input.ndim == axes + 1:
        return _adaptive_avg_pool(name, axes, input[None], sizes)[0]
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    mean = input.astype(compute_dtype(input.dtype))
    for axis, size in enumerate(sizes, 1):
        length = input.shape[axis]
        if size not in (None, length):
            total = jnp.sum(split_bins(mean, axis, size, 0), axis + 1)
            counts = bin_counts(length, size).astype(total.dtype)
            others = [i for i in range(total.ndim) if i != axis]
            mean = total / jnp.expand_dims(counts, others)
    return mean.astype(input.dtype)
