"""Average pooling."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._spatial import Window, pool_windows
from jaxaccel.functional._pool_window import fold, output_sizes


@checked
@operation("avg_pool2d")
def avg_pool2d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Take the mean of each window, channels last. Sums are in float32 at least.

    Args:
        input: (N, H, W, C), or (H, W, C), floating point.
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        padding: Rows and columns of zeros on every side, at most half a window, one number or
            (height, width).
        ceil_mode: Whether a window may hang over the end.
        count_include_pad: Whether the zeros of the padding count as values.
        divisor_override: What to divide the sums by, not 0; None for the number of values.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input without three or four axes or too small.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.avg_pool2d``: the same values and gradients, channels last. Left out:
        integer inputs. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> ja.functional.avg_pool2d(x, 2).ravel().tolist()
        [2.5, 4.5, 10.5, 12.5]
    """
    _check_divisor(divisor_override)
    windows = pool_windows("avg_pool2d", 2, kernel_size, stride, padding)
    return _avg_pool(input, windows, ceil_mode, count_include_pad, divisor_override)


@checked
@operation("avg_pool1d")
def avg_pool1d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> jax.Array:
    """Take the mean of each window of series, channels last. Sums are in float32 at least.

    Args:
        as :func:`avg_pool2d`, for an input (N, L, C) or (L, C), without ``divisor_override``.

    Returns:
        (N, L', C), or (L', C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input without two or three axes or too small.
        TypeError: ``input`` is not floating point.

    PyTorch:
        as :func:`avg_pool2d`, of ``torch.nn.functional.avg_pool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.avg_pool1d(jnp.arange(4.0).reshape(1, 4, 1), 2).ravel().tolist()
        [0.5, 2.5]
    """
    windows = pool_windows("avg_pool1d", 1, kernel_size, stride, padding)
    return _avg_pool(input, windows, ceil_mode, count_include_pad, None)


@checked
@operation("avg_pool3d")
def avg_pool3d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> jax.Array:
    """Take the mean of each window of volumes, channels last. Sums are in float32 at least.

    Args:
        as :func:`avg_pool2d`, for an input (N, D, H, W, C) or (D, H, W, C): three numbers, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input without four or five axes or too small.
        TypeError: ``input`` is not floating point.

    PyTorch:
        as :func:`avg_pool2d`, of ``torch.nn.functional.avg_pool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.avg_pool3d(jnp.arange(16.0).reshape(2, 2, 4, 1), 2).ravel().tolist()
        [6.5, 8.5]
    """
    _check_divisor(divisor_override)
    windows = pool_windows("avg_pool3d", 3, kernel_size, stride, padding)
    return _avg_pool(input, windows, ceil_mode, count_include_pad, divisor_override)


def _avg_pool(
    input: jax.Array,
    windows: tuple[Window, ...],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> jax.Array:
    """Return the means, of an input with or without a batch axis."""
    axes = len(windows)
    sizes = output_sizes(f"avg_pool{axes}d", input, windows, ceil_mode)
    if input.ndim == axes + 1:
        return _avg_pool(input[None], windows, ceil_mode, count_include_pad, divisor_override)[0]
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    total = input.astype(compute_dtype(input.dtype))
    for axis in reversed(range(axes)):
        total = fold(total, axis + 1, windows[axis], sizes[axis], 0, operator.add)
    divisor: Any = None if divisor_override is None else float(divisor_override)
    if divisor is None:
        counts = functools.reduce(
            np.multiply.outer,
            (
                _counts(length, window, size, count_include_pad)
                for length, window, size in zip(input.shape[1:-1], windows, sizes, strict=True)
            ),
        )
        divisor = counts[None, ..., None].astype(total.dtype)
        if (counts == counts.flat[0]).all():
            divisor = float(counts.flat[0])
    return (total / divisor).astype(input.dtype)


def _counts(length: int, window: Window, size: int, count_include_pad: bool) -> np.ndarray:
    """Return how many values each window along one axis holds."""
    start = np.arange(size) * window.stride - window.padding
    # Past the end padding there is nothing to count, in either mode.
    stop = np.minimum(start + window.kernel, length + window.padding)
    if not count_include_pad:
        start, stop = np.maximum(start, 0), np.minimum(stop, length)
    return np.maximum(stop - start, 1)


def _check_divisor(divisor_override: int | None) -> None:
    """Check a divisor, with PyTorch's text."""
    if divisor_override == 0:
        raise ValueError("divisor must be not zero")
