"""Layer normalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._tracing import traced_once
from jaxaccel.functional._channels import scale_and_shift
from jaxaccel.functional._moments import check_dtypes, moments
from jaxaccel.functional._normalized_shape import checked_shape, over_lead


@checked
@operation("layer_norm")
def layer_norm(
    input: jax.Array,
    normalized_shape: Sequence[int],
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
) -> jax.Array:
    r"""Normalize the last dimensions of each sample by their own mean and variance.

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
        TypeError: ``normalized_shape`` is not a sequence, the input is not floating point, or a
            parameter has neither its dtype nor (beside a float16 or bfloat16 input) float32.

    PyTorch:
        ``torch.nn.functional.layer_norm``: the same values and gradients. PyTorch raises
        ``RuntimeError`` where this raises ``ValueError`` for a shape and ``TypeError`` for a dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> round(float(ja.functional.layer_norm(jnp.array([1.0, 2.0, 3.0]), (3,))[2]), 4)
        1.2247

    References:
        Ba, Kiros, Hinton. Layer Normalization. 2016. https://arxiv.org/abs/1607.06450
    """
    shape = checked_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    check_dtypes(input, weight=weight, bias=bias)
    return _normalized(input, weight, bias, eps, count=len(shape))


@traced_once("count")
def _normalized(
    input: jax.Array, weight: jax.Array | None, bias: jax.Array | None, eps: Any, *, count: int
) -> jax.Array:
    """Return the output, normalized over the last axes."""
    x = input.astype(compute_dtype(input.dtype))
    shifted, delta, _, var = moments(x, tuple(range(x.ndim - count, x.ndim)))
    weight, bias = (None if value is None else over_lead(value, x) for value in (weight, bias))
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return output.astype(input.dtype)
