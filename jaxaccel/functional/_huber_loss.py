"""The squared error with its ends straightened."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    check_reduction,
    check_weight_size,
    magnitude,
    reduced,
    result_dtype,
    times,
    warn_of_sizes,
)


@checked
@operation("huber_loss", low=())
def huber_loss(
    input: jax.Array,
    target: jax.Array,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: jax.Array | None = None,
) -> jax.Array:
    r"""Return half the squared error, which grows no faster than linearly.

    .. math::
        \ell_i = \tfrac{1}{2} w_i d_i^2 \text{ if } d_i \le \delta \text{ else }
        w_i \delta (d_i - \tfrac{\delta}{2}), \qquad d_i = |x_i - y_i|

    Args:
        input: Floating point, of any shape.
        target: The input's shape; another one is broadcast, with a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A mean is divided by the number of
            elements, weighted or not.
        delta: Up to where it is squared, positive.
        weight: The input's shape, the weight of each element; None for 1.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the
        input's, or the wider one of input and weight; inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, a ``weight`` of another shape, or ``delta`` is not
            positive.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.huber_loss``: the same. PyTorch raises ``RuntimeError`` for ``delta``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.huber_loss(jnp.array([1.0, 3.0]), jnp.zeros(2), "none", 2.0).tolist()
        [0.5, 4.0]

    References:
        Huber. Robust Estimation of a Location Parameter. 1964.
    """
    check_reduction(reduction)
    if delta <= 0:
        raise ValueError("huber_loss does not support non-positive values for delta.")
    warn_of_sizes(input, target)
    check_weight_size(input, weight)
    x, y = as_pair(input, target)
    distance = magnitude(x - y)
    # An infinite distance must not meet the square, not even where it is not chosen.
    near = jnp.where(distance <= delta, distance, jnp.zeros_like(distance))
    loss = jnp.where(distance <= delta, 0.5 * near * near, delta * (distance - 0.5 * delta))
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).astype(result_dtype(input, weight))
