"""Vectors of length one."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._vector_norm import vector_norm
from jaxaccel.functional._wide import axis_of, in_wide


@checked
@operation("normalize")
def normalize(
    input: jax.Array, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12
) -> jax.Array:
    r"""Divide vectors by their norm.

    .. math::
        y = \frac{x}{\max(\lVert x \rVert_p, \epsilon)}

    Args:
        input: Floating point.
        p: The p of the norm; infinity, 0 (how many are not zero) and negative ones too.
        dim: The axis of the vectors, or several; ``()`` is all of them. PyTorch's default is the
            axis of its channels: for channels last it is -1, and to be given.
        eps: The least that is divided by.

    Returns:
        Shape and dtype of the input; inside it is float32 at least.

    Raises:
        TypeError: ``input`` is not floating point.
        IndexError: ``dim`` is not an axis.
        ValueError: an axis is named twice.

    PyTorch:
        ``torch.nn.functional.normalize``: the same. Left out: ``out``, and complex numbers. PyTorch
        raises ``RuntimeError`` for integers.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> [round(x, 4) for x in ja.functional.normalize(jnp.array([[3.0, 4.0]]))[0].tolist()]
        [0.6, 0.8]
    """
    dims = tuple(dim) if isinstance(dim, Sequence) else (dim,)
    found = [axis_of(axis, input.ndim) for axis in dims] or list(range(input.ndim))
    for axis in found:
        if found.count(axis) > 1:
            raise ValueError(f"dim {axis} appears multiple times in the list of dims")
    axes = tuple(found[: input.ndim])

    def formula(x: jax.Array) -> jax.Array:
        norm = vector_norm(x, p, axes)
        return x / jnp.where(norm < eps, jnp.asarray(eps, x.dtype), norm)

    return in_wide(formula, input)
