"""The cosine of the angle between vectors."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._gradient import with_gradient_of
from jaxaccel._operations import operation
from jaxaccel.functional._reduction import as_pair, result_dtype
from jaxaccel.functional._vector_norm import vector_norm
from jaxaccel.functional._wide import axis_of


@checked
@operation("cosine_similarity", low=("x1", "x2"))
def cosine_similarity(x1: jax.Array, x2: jax.Array, dim: int = 1, eps: float = 1e-8) -> jax.Array:
    r"""Return the cosine of the angle between vectors.

    .. math::
        y = \frac{x_1}{\max(\lVert x_1 \rVert, \epsilon)} \cdot
        \frac{x_2}{\max(\lVert x_2 \rVert, \epsilon)}

    Args:
        x1: Floating point.
        x2: Floating point, of a shape that broadcasts with that of ``x1``.
        dim: The axis of the vectors, of the shape that both have together. PyTorch's default is the
            axis of its channels: for channels last it is -1, and to be given.
        eps: The least length that is divided by.

    Returns:
        The cosines, without the axis ``dim``, in the wider dtype of the two; inside it is float32
        at least.

    Raises:
        TypeError: ``x1`` is not floating point.
        ValueError: shapes that do not broadcast.
        IndexError: ``dim`` is not an axis.

    PyTorch:
        ``torch.nn.functional.cosine_similarity``: the same, gradients of short vectors included.
        PyTorch raises ``RuntimeError`` for shapes and integers.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([[1.0, 0.0]]), jnp.array([[2.0, 2.0]])
        >>> round(float(ja.functional.cosine_similarity(x1, x2)[0]), 4)
        0.7071
    """
    dtype = result_dtype(x1, x2)
    first, second = as_pair(x1, x2)
    axis = axis_of(dim, first.ndim)
    if first.ndim == 0:
        first, second = first[None], second[None]

    def unit(x: jax.Array) -> jax.Array:
        norm = vector_norm(x, 2.0, (axis,))
        # In PyTorch the length keeps its gradient where it is too short to be divided by.
        return x / with_gradient_of(norm, jnp.where(norm < eps, jnp.asarray(eps, x.dtype), norm))

    return jnp.sum(unit(first) * unit(second), axis).astype(dtype)
