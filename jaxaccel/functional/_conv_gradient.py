"""The gradient of a convolution's weight, in the forms that are fastest on CPUs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaccel.functional._conv_shapes import dimension_numbers

_BYTES_OF_A_PART = 800_000
"""Of the output's gradient: with the part of the input that it meets, a core's second cache."""
_MOST_PARTS = 64


def convolve(
    input: jax.Array,
    weight: jax.Array,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> jax.Array:
    """Return a batch's convolution, channels last."""
    return jax.lax.conv_general_dilated(
        input,
        weight,
        stride,
        padding,
        rhs_dilation=dilation,
        dimension_numbers=dimension_numbers(len(stride)),
        feature_group_count=groups,
    )


def gradient_on_cpu(
    input: jax.Array,
    weight: jax.Array,
    stride: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Callable[..., jax.Array] | None:
    """Return the form of the weight's gradient for these shapes; None where XLA's is as fast."""
    *window, _, outputs = weight.shape
    if len(window) != 2 or groups != 1 or 0 in input.shape or input.dtype.itemsize < 4:
        return None
    if window == [1, 1] and not any(map(sum, padding)):
        return _of_points
    sizes = [
        (size + sum(pads) - d * (k - 1) - 1) // s + 1
        for size, pads, d, k, s in zip(
            input.shape[1:-1], padding, dilation, window, stride, strict=True
        )
    ]
    points = math.prod(sizes) * outputs * input.dtype.itemsize
    return _of_parts if _parts(len(input), points) > 1 else None


def _of_points(
    input: jax.Array,
    output: jax.Array,
    weight: jax.ShapeDtypeStruct,
    stride: tuple[int, ...],
    *_: object,
) -> jax.Array:
    """Return the gradient of a window of one point: a product of matrices."""
    met = input[:, :: stride[0], :: stride[1]]
    inputs, outputs = weight.shape[-2:]
    product = jnp.dot(met.reshape(-1, inputs).T, output.reshape(-1, outputs))
    return product.reshape(weight.shape)


def _of_parts(
    input: jax.Array, output: jax.Array, weight: jax.ShapeDtypeStruct, *arguments: object
) -> jax.Array:
    """Return the gradient as a sum over parts of the batch, which a core's cache holds.

    XLA multiplies the images by their output's gradients as one convolution with a window as large
    as an image, whose every operand it reads from memory again for each point of the weight.
    """
    images = len(input)
    parts = _parts(images, output.nbytes // images)
    ends = [images * part // parts for part in range(parts + 1)]
    total: jax.Array | None = None
    for begin, end in itertools.pairwise(ends):

        def product(weight: jax.Array, some: jax.Array = input[begin:end]) -> jax.Array:
            return convolve(some, weight, *arguments)  # pyright: ignore[reportArgumentType]

        (found,) = jax.linear_transpose(product, weight)(output[begin:end])
        total = found if total is None else total + found
    assert total is not None
    return total


def _parts(images: int, size: int) -> int:
    """Return in how many parts a batch is taken, where an image's gradient has so many bytes."""
    return max(1, min(images, _MOST_PARTS, round(images * size / _BYTES_OF_A_PART)))
