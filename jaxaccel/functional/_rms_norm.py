"""Root mean square normalization."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype, widest
from jaxaccel._operations import operation
from jaxaccel.functional._moments import check_dtypes
from jaxaccel.functional._normalized_shape import checked_shape, over_lead


@checked
@operation("rms_norm")
def rms_norm(
    input: jax.Array,
    normalized_shape: Sequence[int],
    weight: jax.Array | None = None,
    eps: float | None = None,
) -> jax.Array:
    r"""Divide the last dimensions of each sample by their root mean square.

    .. math::
        y = \frac{x}{\sqrt{\tfrac{1}{n} \sum_i x_i^2 + \epsilon}} w

    The arithmetic is in float32 at least.

    Args:
        input: Floating point, its shape ends with ``normalized_shape``.
        normalized_shape: The lengths of the last dimensions, one or more.
        weight: Of shape ``normalized_shape``, the scale, floating point; None for 1.
        eps: Added to the mean square; None for the machine epsilon of the arithmetic: that of
            float64 for a float64 input, else that of float32.

    Returns:
        An array of the shape and dtype of the input.

    Raises:
        ValueError: ``normalized_shape`` is empty or not the end of the input's shape, or ``weight``
            has another shape.
        TypeError: ``normalized_shape`` is not a sequence, or the input or ``weight`` is not
            floating point.

    PyTorch:
        ``torch.nn.functional.rms_norm``: the same values and gradients, and the same epsilon for
        None (the documentation of PyTorch speaks of the input's own). ``weight`` may have any
        dtype. PyTorch raises ``RuntimeError`` where this raises ``ValueError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.rms_norm(jnp.array([3.0, 4.0, 0.0, 0.0]), (4,))
        >>> [round(float(value), 4) for value in y]
        [1.2, 1.6, 0.0, 0.0]

    References:
        Zhang, Sennrich. Root Mean Square Layer Normalization. 2019.
        https://arxiv.org/abs/1910.07467
    """
    shape = checked_shape("rms_norm", input, normalized_shape, weight=weight)
    check_dtypes(input)
    dtype = compute_dtype(input.dtype)
    x = input.astype(dtype)
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    mean_square = jnp.mean(x * x, axes, keepdims=True)
    output = x * jax.lax.rsqrt(mean_square + (jnp.finfo(dtype).eps if eps is None else eps))
    if weight is not None:
        check_dtypes(weight)
        output = output.astype(widest(dtype, weight.dtype))
        output = output * over_lead(weight, output)
    return output.astype(input.dtype)
