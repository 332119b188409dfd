"""The reverse of maximum pooling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._reversed_windows import unpool_windows
from jaxaccel._spatial import Window


@checked
@operation("max_unpool2d")
def max_unpool2d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Put the values of a maximum pool back where they were, and zeros elsewhere; channels last.

    Args:
        input: (N, H, W, C), or (H, W, C): what :func:`max_pool2d` returned.
        indices: The indices that it returned with it. Where one stands twice, which of the values
            is kept is not said, in PyTorch neither.
        kernel_size: The pool's window, one number or (height, width).
        stride: The pool's step, one number or (height, width); None for ``kernel_size``.
        padding: The pool's padding, one number or (height, width).
        output_size: The size of the pool's input, which the other numbers leave open by less than a
            step: (height, width), or the whole shape of a batch.

    Returns:
        (N, H', W', C), or (H', W', C), in the input's dtype.

    Raises:
        ValueError: a bad argument, an input without three or four axes, indices of another shape,
            or one outside the output, where it is known when the call is traced.
        TypeError: ``indices`` are not integers.

    PyTorch:
        ``torch.nn.functional.max_unpool2d``: the same, channels last. PyTorch raises
        ``RuntimeError`` in places, for an index outside too: a traced one writes nothing here.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[[1.0], [5.0]], [[2.0], [3.0]]]])
        >>> y, indices = ja.functional.max_pool2d(x, 2, return_indices=True)
        >>> ja.functional.max_unpool2d(y, indices, 2)[0, :, :, 0].tolist()
        [[0.0, 5.0], [0.0, 0.0]]
    """
    windows = unpool_windows("max_unpool2d", 2, kernel_size, stride, padding)
    return _max_unpool(input, indices, windows, output_size)


@checked
@operation("max_unpool1d")
def max_unpool1d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Put the values of a maximum pool of series back where they were, channels last.

    Args:
        as :func:`max_unpool2d`, for an input (N, L, C) or (L, C) of :func:`max_pool1d`.

    Returns:
        (N, L', C), or (L', C), in the input's dtype.

    Raises:
        as :func:`max_unpool2d`, of an input without two or three axes.

    PyTorch:
        as :func:`max_unpool2d`, of ``torch.nn.functional.max_unpool1d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y, indices = jnp.array([[4.0], [3.0]]), jnp.array([[1], [2]])
        >>> ja.functional.max_unpool1d(y, indices, 2).ravel().tolist()
        [0.0, 4.0, 3.0, 0.0]
    """
    windows = unpool_windows("max_unpool1d", 1, kernel_size, stride, padding)
    return _max_unpool(input, indices, windows, output_size)


@checked
@operation("max_unpool3d")
def max_unpool3d(
    input: jax.Array,
    indices: jax.Array,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    output_size: Sequence[int] | None = None,
) -> jax.Array:
    """Put the values of a maximum pool of volumes back where they were, channels last.

    Args:
        as :func:`max_unpool2d`, for an input (N, D, H, W, C) or (D, H, W, C) of
            :func:`max_pool3d`: three numbers, or one.

    Returns:
        (N, D', H', W', C), or (D', H', W', C), in the input's dtype.

    Raises:
        as :func:`max_unpool2d`, of an input without four or five axes.

    PyTorch:
        as :func:`max_unpool2d`, of ``torch.nn.functional.max_unpool3d``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y, indices = jnp.full((1, 1, 1, 1), 7.0), jnp.full((1, 1, 1, 1), 5)
        >>> ja.functional.max_unpool3d(y, indices, 2).ravel().tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 7.0, 0.0, 0.0]
    """
    windows = unpool_windows("max_unpool3d", 3, kernel_size, stride, padding)
    return _max_unpool(input, indices, windows, output_size)


def _max_unpool(
    input: jax.Array,
    indices: jax.Array,
    windows: tuple[Window, ...],
    output_size: Sequence[int] | None,
) -> jax.Array:
    """Return the values at their places, of an input with or without a batch axis."""
    axes = len(windows)
    _check_input(axes, input, indices)
    if input.ndim == axes + 1:
        return _max_unpool(input[None], indices[None], windows, output_size)[0]
    spatial = _output_size(input.shape[1:-1], windows, output_size)
    rows, channels = input.shape[0], input.shape[-1]
    places = indices.reshape(rows, -1, channels)
    _check_places(places, spatial)
    values = input.reshape(rows, -1, channels)
    zeros = jnp.zeros((rows, math.prod(spatial), channels), input.dtype)
    row, channel = jnp.arange(rows)[:, None, None], jnp.arange(channels)[None, None, :]
    row, channel = (jnp.broadcast_to(index, places.shape) for index in (row, channel))
    # The gradient is that of places that differ: each value's is the output's at its place.
    put = zeros.at[row, places, channel].set(
        values, mode="drop", unique_indices=True, wrap_negative_indices=False
    )
    return put.reshape(rows, *spatial, channels)


def _check_input(axes: int, input: jax.Array, indices: jax.Array) -> None:
    """Raise PyTorch's texts unless values and indices fit."""
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(
            f"elements in indices should be type int64 but got: {indices.dtype}\n"
            "They are what the pool returned with return_indices=True"
        )
    if input.ndim not in (axes + 1, axes + 2):
        raise ValueError(
            f"Input to max_unpooling{axes}d should be a {axes + 1}d or {axes + 2}d Tensor, "
            f"but got a tensor with {input.ndim} dimensions."
        )
    if indices.shape != input.shape:
        raise ValueError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({[*input.shape]}) but got indices tensor with shape: {[*indices.shape]}"
        )
    if 0 in input.shape[-axes - 1 :]:
        raise ValueError(
            f"max_unpooling{axes}d_forward_out(): Expected input to have non-zero size for "
            f"non-batch dimensions, but got {[*input.shape]}"
        )


def _output_size(
    spatial: Sequence[int], windows: tuple[Window, ...], output_size: Sequence[int] | None
) -> tuple[int, ...]:
    """Return the checked sizes of the output: the smallest that has such a pool, or the given."""
    default = [
        (size - 1) * window.stride + window.kernel - 2 * window.padding
        for size, window in zip(spatial, windows, strict=True)
    ]
    if output_size is None:
        given = default
    else:
        axes = len(windows)
        given = [*output_size][1:-1] if len(output_size) == axes + 2 else [*output_size]
        if len(given) != axes:
            raise ValueError(
                f"output_size should be a sequence containing {axes} or {axes + 2} elements, "
                f"but it has a length of '{len(output_size)}'"
            )
        for dim, (size, least, window) in enumerate(zip(given, default, windows, strict=True)):
            low, high = least - window.stride, least + window.stride
            if not low < size < high:
                raise ValueError(
                    f'invalid output_size "{tuple(given)}" (dim {dim} must be between {low} and '
                    f"{high})"
                )
    for dim, size in enumerate(given):
        if size < 0:
            raise ValueError(
                "max_unpooling: output_size must contain non-negative spatial dimensions, "
                f"but got output_size[{dim}]={size}"
            )
    return tuple(given)


def _check_places(places: jax.Array, spatial: tuple[int, ...]) -> None:
    """Raise PyTorch's text for a place outside, where the places are known."""
    if isinstance(places, Tracer):
        return
    known = np.asarray(places)
    outside = (known < 0) | (known >= math.prod(spatial))
    if outside.any():
        sizes = "x".join(map(str, spatial if len(spatial) > 1 else (*spatial, 1)))
        raise ValueError(
            f"Found an invalid max index: {known[outside][0]} (output volumes are of size {sizes})"
        )
