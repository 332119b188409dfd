"""Adaptive maximum pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._spatial import Window, pool_output_size
from jaxaccel.functional._pool_bins import check_input, split_bins
from jaxaccel.functional._pool_window import (
    fold,
    fold_with_places,
    larger,
    lowest_of,
    places_in,
)


@checked
@operation("adaptive_max_pool2d")
def adaptive_max_pool2d(
    input: jax.Array,
    output_size: int | Sequence[int | None] | None,
    return_indices: bool = False,
) -> Any:
    r"""Keep the largest value of each bin, channels last.

    Of equal values the first takes the gradient; a NaN wins over every number.

    .. math::
        \text{bin}_i = \left[\lfloor i n / m \rfloor, \lceil (i + 1) n / m \rceil\right)

    for n points in and m out, along each axis.

    Args:
        input: (N, H, W, C), or (H, W, C).
        output_size: Height and width of the output, or one number for both; None
            keeps the input's, in a pair too.
        return_indices: Whether to return where each value was too.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype. With ``return_indices`` a pair: that,
        and integers of its shape, the places of the values in their channel's H x W points, counted
        row by row.

    Raises:
        ValueError: a negative size or another number of them, an input without three or four axes,
            or an empty one.
        TypeError: a size that is not an int.

    PyTorch:
        ``torch.nn.functional.adaptive_max_pool2d``: the same values, gradients and indices,
        channels last. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
        >>> ja.functional.adaptive_max_pool2d(x, 2).ravel().tolist()
        [5.0, 7.0, 13.0, 15.0]
    """
    return _adaptive_max_pool("adaptive_max_pool2d", 2, input, output_size, return_indices)


@checked
@operation("adaptive_max_pool1d")
def adaptive_max_pool1d(
    input: jax.Array,
    output_size: int | Sequence[int | None] | None,
    return_indices: bool = False,
) -> Any:
    """Keep the largest value of each bin of series, channels last.

    Args:
        as :func:`adaptive_max_pool2d`, for an input (N, L, C) or (L, C) and its length.

    Returns:
        (N, L', C), or (L', C), in the input's dtype; with ``return_indices`` that and the indices.

    Raises:
        as :func:`adaptive_max_pool2d`, of an input without two or three axes.

    PyTorch:
        as :func:`adaptive_max_pool2d`, of ``torch.nn.functional.adaptive_max_pool1d``, which takes
        no None.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(5.0).reshape(1, 5, 1)
        >>> ja.functional.adaptive_max_pool1d(x, 3).ravel().tolist()
        [1.0, 3.0, 4.0]
    """
    return _adaptive_max_pool("adaptive_max_pool1d", 1, input, output_size, return_indices)


@checked
@operation("adaptive_max_pool3d")
def adaptive_max_pool3d(
    input: jax.Array,
    output_size: int | Sequence[int | None] | None,
    return_indices: bool = False,
) -> Any:
    """Keep the largest value of each bin of volumes, channels last.

    Args:
        as :func:`adaptive_max_pool2d`, for an input (N, D, H, W, C) or (D, H, W, C) and three
        sizes, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype; with ``return_indices`` that
        and the indices.

    Raises:
        as :func:`adaptive_max_pool2d`, of an input without four or five axes.

    PyTorch:
        as :func:`adaptive_max_pool2d`, of ``torch.nn.functional.adaptive_max_pool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.arange(8.0).reshape(1, 2, 4, 1)
        >>> ja.functional.adaptive_max_pool3d(x, (1, 1, 2)).ravel().tolist()
        [5.0, 7.0]
    """
    return _adaptive_max_pool("adaptive_max_pool3d", 3, input, output_size, return_indices)


def _adaptive_max_pool(
    name: str,
    axes: int,
    input: jax.Array,
    output_size: int | Sequence[int | None] | None,
    return_indices: bool,
) -> Any:
    """Return the largest values of the bins, with or without a batch axis, and their places."""
    sizes = pool_output_size(name, axes, output_size)
    check_input(name, input, axes, sizes)
    if input.ndim == axes + 1:
        result = _adaptive_max_pool(name, axes, input[None], sizes, return_indices)
        return jax.tree.map(lambda array: array[0], result)
    lowest = lowest_of(name, input)
    places = places_in(input) if return_indices else None
    # The last axis first: the order of ties is that of the whole bin, row by row.
    for axis, size in reversed(list(enumerate(sizes, 1))):
        if size not in (None, input.shape[axis]):
            bins = split_bins(input, axis, size, lowest)
            others = None if places is None else split_bins(places, axis, size, -1)
            input, places = _largest(bins, others, axis + 1, lowest)
    return input if places is None else (input, places)


def _largest(
    x: jax.Array, places: jax.Array | None, axis: int, lowest: float
) -> tuple[jax.Array, jax.Array | None]:
    """Return the largest along an axis, which is halved until nothing is left of it."""
    while (count := x.shape[axis]) > 1:
        # Neighbours, so that the first of equals stays the first.
        pairs = (axis, Window(2, 2, 0, 1), (count + 1) // 2, lowest)
        if places is None:
            x = fold(x, *pairs, larger)
        else:
            x, places = fold_with_places(x, places, *pairs)
    return jnp.squeeze(x, axis), None if places is None else jnp.squeeze(places, axis)
