"""The p-norm distance of vectors."""

from __future__ import annotations

import math

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, result_dtype
from jaxaccel.functional._vector_norm import vector_norm


@checked
@operation("pairwise_distance", low=("x1", "x2"))
def pairwise_distance(
    x1: jax.Array, x2: jax.Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> jax.Array:
    r"""Return the distances of vectors, which are on the last axis.

    .. math::
        y = \lVert x_1 - x_2 + \epsilon \rVert_p

    Args:
        x1: (..., D), floating point.
        x2: (..., D), of a shape that broadcasts with that of ``x1``.
        p: The p of the norm; infinity, 0 (how many are not zero) and negative ones too.
        eps: Added to each difference.
        keepdim: Whether the last axis stays, with length 1.

    Returns:
        The distances, (...), in the wider dtype of the two; inside it is float32 at least.

    Raises:
        TypeError: ``x1`` is not floating point.
        ValueError: shapes that do not broadcast, or vectors of length 0 with an infinite ``p``.

    PyTorch:
        ``torch.nn.functional.pairwise_distance``: the same, gradients at 0 included. PyTorch raises
        ``RuntimeError`` for shapes, and takes integers.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([[3.0, 4.0]]), jnp.zeros((1, 2))
        >>> round(float(ja.functional.pairwise_distance(x1, x2)[0]), 4)
        5.0
    """
    found = distance(*as_pair(x1, x2), p, eps)
    if not keepdim:
        found = found[..., 0] if found.ndim else found
    return found.astype(result_dtype(x1, x2))


def distance(x1: jax.Array, x2: jax.Array, p: float, eps: float) -> jax.Array:
    """Return the distances of vectors of one shape and dtype; the last axis stays."""
    difference = x1 - x2 + eps
    if difference.ndim == 0:
        return vector_norm(difference[None], p, (0,))[0]
    if difference.shape[-1] == 0 and (p < 0 or math.isinf(p)):
        axis = difference.ndim - 1
        raise ValueError(
            f"linalg.vector_norm cannot compute the {p:g} norm on the dimension {axis}because this "
            "dimension is empty and the operation does not have an identity"
        )
    return vector_norm(difference, p, (difference.ndim - 1,))
