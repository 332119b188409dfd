"""Layer normalization."""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jaxaccel._math import compute_dtype
from jaxaccel.normalization._moments import check_dtypes, moments


def layer_norm(
    input: jax.Array,
    normalized_shape: Sequence[int],
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    r"""Normalise the last dimensions of each sample by their own mean and variance.

    .. math::
        y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} w + b

    The variance is the biased one. Statistics and arithmetic are in float32 at least, the variance
    in two passes.

    Args:
        input: Floating point, its shape ends with ``normalized_shape``.
        normalized_shape: The lengths of the last dimensions, one or more.
        weight: Of shape ``normalized_shape``, the scale; None for 1.
        bias: Of shape ``normalized_shape``, the shift; None for 0.
        eps: Added to the variance.

    Returns:
        An array of the shape and dtype of the input.

    Raises:
        ValueError: ``normalized_shape`` is empty or no end of the input's shape, or a parameter has
            another shape.
        TypeError: ``normalized_shape`` is no sequence, the input is not floating point, or a
            parameter has neither its dtype nor (beside a float16 or bfloat16 input) float32.

    PyTorch:
        ``torch.nn.functional.layer_norm``: the same values and gradients. PyTorch raises
        ``RuntimeError`` where this raises ``ValueError`` for a shape and ``TypeError`` for a dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.normalization.layer_norm(jnp.array([1.0, 2.0, 3.0]), (3,))[2]), 4)
        1.2247

    References:
        Ba, Kiros, Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
    """
    shape = _checked_shape(input, normalized_shape, weight=weight, bias=bias)
    dtype = compute_dtype(input.dtype)
    lead = input.ndim - len(shape)

    def wide(value: jax.Array) -> jax.Array:
        return jax.lax.expand_dims(value.astype(dtype), range(lead))

    stats = moments(input.astype(dtype), tuple(range(lead, input.ndim)))
    output = stats.centred * jax.lax.rsqrt(stats.var + eps)
    if weight is not None:
        output = output * wide(weight)
    if bias is not None:
        output = output + wide(bias)
    return output.astype(input.dtype)


def _checked_shape(
    input: jax.Array, normalized_shape: Sequence[int], **parameters: jax.Array | None
) -> tuple[int, ...]:
    """Check the arguments, with PyTorch's texts; return the normalized shape."""
    if not isinstance(normalized_shape, Sequence):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, "
            f"not {type(normalized_shape).__name__}"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise ValueError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least "
            "one element, but got normalized_shape = []"
        )
    for name, value in parameters.items():
        if value is not None and value.shape != shape:
            raise ValueError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of "
                f"shape {list(value.shape)} and normalized_shape = {list(shape)}"
            )
    if input.shape[-len(shape) :] != shape:
        wanted = ", ".join(["*", *map(str, shape)])
        raise ValueError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    check_dtypes(input, **parameters)
    return shape
