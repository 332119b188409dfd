"""The absolute error."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    check_reduction,
    check_weight_size,
    result_dtype,
    warn_of_sizes,
    weighted_mean,
)


@checked
@operation("l1_loss", low=())
def l1_loss(
    input: jax.Array,
    target: jax.Array,
    reduction: str = "mean",
    weight: jax.Array | None = None,
) -> jax.Array:
    r"""Return the absolute error.

    .. math::
        \ell_i = w_i |x_i - y_i|

    Args:
        input: Floating point, of any shape.
        target: The input's shape; another one is broadcast, with a warning.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``. A weighted mean is divided by the sum of
            the weights.
        weight: The input's shape, the weight of each element; None for 1.

    Returns:
        The loss: a number, or the input's shape without reduction. Its dtype is the widest
        floating one given; inside it is float32 at least. Where both are equal the gradient is 0
        (that of ``jnp.abs`` is 1), and where the difference is NaN too.

    Raises:
        ValueError: another ``reduction``, or a ``weight`` of another shape.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.l1_loss``: the same. Left out: ``size_average`` and ``reduce``, which
        are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> float(ja.functional.l1_loss(jnp.array([1.0, 4.0]), jnp.array([1.0, 1.0])))
        1.5
    """
    check_reduction(reduction)
    warn_of_sizes(input, target)
    check_weight_size(input, weight)
    x, y = as_pair(input, target)
    loss = weighted_mean(_absolute(x - y), weight, reduction)
    return loss.astype(result_dtype(input, target, weight))


def _absolute(difference: jax.Array) -> jax.Array:
    """Return the absolute value; PyTorch's sign of NaN is 0, and so is the gradient there."""
    sign = jnp.sign(difference)
    return difference * jnp.where(jnp.isnan(sign), jnp.zeros_like(sign), sign)
