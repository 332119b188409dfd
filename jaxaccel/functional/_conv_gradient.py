"""The gradient of a convolution's weight, where CPUs have a faster form than XLA's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxaccel.functional._conv_shapes import dimension_numbers


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
    padding: Sequence[tuple[int, int]],
    groups: int,
) -> Callable[..., jax.Array] | None:
    """Return the form of the weight's gradient for these shapes; None where it is XLA's."""
    *window, _, _ = weight.shape
    if window != [1, 1] or groups != 1 or 0 in input.shape or input.dtype.itemsize < 4:
        return None
    return None if any(map(sum, padding)) else _of_points


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
