"""The absolute error with its bend rounded off."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._l1_loss import l1_loss
from jaxaccel.functional._reduction import (
    as_pair,
    check_reduction,
    magnitude,
    reduced,
    result_dtype,
    warn_of_sizes,
)


@checked
@operation("smooth_l1_loss", low=())
def smooth_l1_loss(
    input: jax.Array,
    target: jax.Array,
    reduction: str = "mean",
    beta: float = 1.0,
) -> jax.Array:
    r"""Return the absolute error, squared where it is small.

    .. math::
        \ell_i = \frac{d_i^2}{2 \beta} \text{ if } d_i < \beta \text{ else } d_i - \tfrac{\beta}{2},
        \qquad d_i = |x_i - y_i|

    Args:
        input: Floating point, of any shape.
        target: The input's shape; another one is broadcast, with a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        beta: Up to where it is squared, at least 0; 0 is :func:`l1_loss`.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the wider floating
        one given; inside it is float32 at least.

    Raises:
        ValueError: another ``reduction``, or a negative ``beta``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.smooth_l1_loss``: the same. Left out: ``size_average`` and ``reduce``,
        which are deprecated. PyTorch raises ``RuntimeError`` for ``beta``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.smooth_l1_loss(jnp.array([0.5, 3.0]), jnp.zeros(2), "none").tolist()
        [0.125, 2.5]

    References:
        Girshick. Fast R-CNN. 2015. https://arxiv.org/abs/1504.08083
    """
    if beta < 0:
        raise ValueError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return l1_loss(input, target, reduction)
    check_reduction(reduction)
    warn_of_sizes(input, target)
    x, y = as_pair(input, target)
    distance = magnitude(x - y)
    # An infinite distance must not meet the square, not even where it is not chosen.
    near = jnp.where(distance < beta, distance, jnp.zeros_like(distance))
    loss = jnp.where(distance < beta, 0.5 * near * near / beta, distance - 0.5 * beta)
    return reduced(loss, reduction).astype(result_dtype(input, target))
