"""The loss of vectors that are to point in one direction, or not."""

from __future__ import annotations

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import (
    as_pair,
    at_least_zero,
    check_reduction,
    in_one_shape,
    reduced,
    result_dtype,
)

_EPSILON: Final = float(np.float32(1e-12))


@checked
@operation("cosine_embedding_loss", low=())
def cosine_embedding_loss(
    input1: jax.Array,
    input2: jax.Array,
    target: jax.Array,
    margin: float = 0,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return what the cosines of vectors lack of 1, or are above a margin.

    .. math::
        \ell = 1 - c \text{ if } y = 1, \qquad \max(c - \text{margin},\, 0) \text{ if } y = -1,
        \qquad
        c = \frac{x_1 \cdot x_2}{\sqrt{(x_1 \cdot x_1 + 10^{-12}) (x_2 \cdot x_2 + 10^{-12})}}

    Args:
        input1: (N, D) or (D,), floating point.
        input2: (N, D) or (D,).
        target: (N,) or a number: 1 for one direction, -1 for another one. For another number the
            loss is 0.
        margin: The cosine that is small enough, -1 to 1.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the target's shape without reduction. Its dtype is the wider one of
        both inputs; inside it is float32 at least. At the margin the gradient is that of a loss.

    Raises:
        ValueError: another ``reduction``, or bad shapes.
        TypeError: ``input1`` is not floating point.

    PyTorch:
        ``torch.nn.functional.cosine_embedding_loss``: the same. Left out: ``size_average`` and
        ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([3.0, 4.0]), jnp.array([1.0, 0.0])
        >>> loss = ja.functional.cosine_embedding_loss
        >>> [round(float(loss(x1, x2, jnp.array(y))), 4) for y in (1, -1)]
        [0.4, 0.6]
    """
    check_reduction(reduction)
    if target.ndim > 1:
        raise ValueError("0D or 1D target tensor expected, multi-target not supported")
    if not input1.ndim == input2.ndim == target.ndim + 1:
        raise ValueError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            f"inputs with sizes {[*input1.shape]} and {[*input2.shape]}."
        )
    dtype = result_dtype(input1, input2)
    a, b = as_pair(input1, input2)
    squares = (jnp.sum(a * a, -1) + _EPSILON) * (jnp.sum(b * b, -1) + _EPSILON)
    cosine, y = in_one_shape(jnp.sum(a * b, -1) / jnp.sqrt(squares), target)
    zeros = jnp.zeros_like(cosine)
    loss = jnp.where(y == 1, 1 - cosine, zeros)
    loss = loss + jnp.where(y == -1, at_least_zero(cosine - margin), zeros)
    return reduced(loss, reduction).astype(dtype)
