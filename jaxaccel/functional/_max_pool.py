"""Maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._spatial import Window, pool_windows
from jaxaccel.functional._pool_window import (
    fold,
    fold_with_places,
    larger,
    lowest_of,
    output_sizes,
    places_in,
)


@checked
@operation("max_pool2d")
def max_pool2d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Keep the largest value of each window, channels last.

    Of equal values the first takes the gradient; a NaN wins over every number. (The padding is the
    first in a window at the edge that holds nothing but minus infinity: there PyTorch gives the
    gradient to the first input; here it is lost, but not where indices are asked for.)

    Args:
        input: (N, H, W, C), or (H, W, C).
        kernel_size: Size of the window, one number or (height, width).
        stride: Step of the window, one number or (height, width); None for ``kernel_size``.
        padding: Rows and columns of minus infinity on every side, at most half a window, one number
            or (height, width).
        dilation: Distance of the window's points, one number or (height, width).
        ceil_mode: Whether a window may hang over the end.
        return_indices: Whether to return where each value was too, for :func:`max_unpool2d`.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype. With ``return_indices`` a pair: that,
        and integers of its shape, the places of the values in their channel's H x W points, counted
        row by row.

    Raises:
        ValueError: a bad argument, an input without three or four axes or too small.

    PyTorch:
        ``torch.nn.functional.max_pool2d``: the same values, gradients and indices, channels last.
        PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> ja.functional.max_pool2d(x, 2).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    windows = pool_windows("max_pool2d", 2, kernel_size, stride, padding, dilation)
    return _max_pool(input, windows, ceil_mode, return_indices)


@checked
@operation("max_pool1d")
def max_pool1d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Keep the largest value of each window of series, channels last.

    Args:
        as :func:`max_pool2d`, for an input (N, L, C) or (L, C): ``padding`` is at most half of
        ``kernel_size``, whatever the dilation.

    Returns:
        (N, L', C), or (L', C), in the input's dtype; with ``return_indices`` that and the indices.

    Raises:
        ValueError: a bad argument, an input without two or three axes or too small.

    PyTorch:
        as :func:`max_pool2d`, of ``torch.nn.functional.max_pool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0], [4.0], [2.0], [3.0]])
        >>> ja.functional.max_pool1d(x, 3, stride=1).ravel().tolist()
        [4.0, 4.0]
    """
    # PyTorch finds the indices over two axes, and so says other words of a wrong window.
    name = "max_pool1d_with_indices" if return_indices else "max_pool1d"
    windows = pool_windows(name, 1, kernel_size, stride, padding, dilation)
    return _max_pool(input, windows, ceil_mode, return_indices)


@checked
@operation("max_pool3d")
def max_pool3d(
    input: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Keep the largest value of each window of volumes, channels last.

    Args:
        as :func:`max_pool2d`, for an input (N, D, H, W, C) or (D, H, W, C): three numbers, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype; with ``return_indices`` that
        and the indices.

    Raises:
        ValueError: a bad argument, an input without four or five axes or too small.

    PyTorch:
        as :func:`max_pool2d`, of ``torch.nn.functional.max_pool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.max_pool3d(jnp.arange(16.0).reshape(2, 2, 4, 1), 2).ravel().tolist()
        [13.0, 15.0]
    """
    windows = pool_windows("max_pool3d", 3, kernel_size, stride, padding, dilation)
    return _max_pool(input, windows, ceil_mode, return_indices)


def _max_pool(
    input: jax.Array, windows: tuple[Window, ...], ceil_mode: bool, return_indices: bool
) -> Any:
    """Return the largest values, of an input with or without a batch axis, and their places."""
    axes = len(windows)
    sizes = output_sizes(f"max_pool{axes}d", input, windows, ceil_mode)
    if input.ndim == axes + 1:
        result = _max_pool(input[None], windows, ceil_mode, return_indices)
        return jax.tree.map(lambda array: array[0], result)
    lowest = lowest_of(f"max_pool{axes}d", input)
    places = places_in(input) if return_indices else None
    # The last axis first: the order of ties is that of the whole window, row by row.
    for axis in reversed(range(axes)):
        if places is not None:
            window = (axis + 1, windows[axis], sizes[axis], lowest)
            input, places = fold_with_places(input, places, *window)
            continue
        input = fold(input, axis + 1, windows[axis], sizes[axis], lowest, larger)
    return input if places is None else (input, places)
