"""The loss of distances that are to be short, or long."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    at_least_zero,
    check_reduction,
    reduced,
    result_dtype,
)


@checked
@operation("hinge_embedding_loss", low=())
def hinge_embedding_loss(
    input: jax.Array,
    target: jax.Array,
    margin: float = 1.0,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return distances that are to be short, and what others lack of a margin.

    .. math::
        \ell_i = x_i \text{ if } y_i = 1, \qquad
        \max(\text{margin} - x_i,\, 0) \text{ if } y_i = -1

    Args:
        input: The distances, floating point, of any shape.
        target: 1 for short and -1 for long, of a shape that broadcasts with the input's. For
            another number the loss is the sum of both.
        margin: How long is long enough.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the common shape without reduction, in the input's dtype; inside it
        is float32 at least. At the margin the gradient is that of a loss.

    Raises:
        ValueError: another ``reduction``, or shapes that do not broadcast.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.hinge_embedding_loss``: the same. Left out: ``size_average`` and
        ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.5, 0.25, 3.0]), jnp.array([1, -1, -1])
        >>> ja.functional.hinge_embedding_loss(x, y, reduction="none").tolist()
        [0.5, 0.75, 0.0]
    """
    check_reduction(reduction)
    y, x = as_pair(target.astype(result_dtype(input, target)), input)
    zeros = jnp.zeros_like(x)
    loss = jnp.where(y != 1, at_least_zero(margin - x), zeros) + jnp.where(y != -1, x, zeros)
    return reduced(loss, reduction).astype(result_dtype(input))
