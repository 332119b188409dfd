"""Vectors of length one, and the cosine between two."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel.functional._gradient import with_gradient_of
from jaxaccel.functional._reduction import as_pair, magnitude, result_dtype
from jaxaccel.functional._wide import axis_of, in_wide


def normalize(
    input: jax.Array, p: float = 2.0, dim: int | Sequence[int] = 1, eps: float = 1e-12
) -> jax.Array:
    r"""Divide vectors by their norm.

    .. math::
        y = \frac{x}{\max(\lVert x \rVert_p, \epsilon)}

    Args:
        input: Floating point.
        p: The p of the norm; infinity, 0 (how many are not zero) and negative ones too.
        dim: The axis of the vectors, or several. PyTorch's default is the axis of its channels: for
            channels last it is -1, and to be given.
        eps: The least that is divided by.

    Returns:
        Shape and dtype of the input; inside it is float32 at least.

    Raises:
        TypeError: ``input`` is not floating point.
        IndexError: ``dim`` is not an axis.

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
    axes = tuple(axis_of(axis, input.ndim) for axis in dims)[: input.ndim]

    def formula(x: jax.Array) -> jax.Array:
        norm = _norm(x, p, axes)
        return x / jnp.where(norm < eps, jnp.asarray(eps, x.dtype), norm)

    return in_wide(formula, input)


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
        norm = _norm(x, 2.0, (axis,))
        # In PyTorch the length keeps its gradient where it is too short to be divided by.
        return x / with_gradient_of(norm, jnp.where(norm < eps, jnp.asarray(eps, x.dtype), norm))

    return jnp.sum(unit(first) * unit(second), axis).astype(dtype)


def _norm(x: jax.Array, p: float, axes: tuple[int, ...]) -> jax.Array:
    """Return the p-norm along axes that stay; its gradient at 0 is 0, as in PyTorch."""
    is_zero = x == 0
    if p == 0:
        return jnp.sum(~is_zero, axes, dtype=x.dtype, keepdims=True)
    size = magnitude(x)
    if math.isinf(p):
        return (jnp.max if p > 0 else jnp.min)(size, axes, keepdims=True)
    if p == 1:
        return jnp.sum(size, axes, keepdims=True)
    of_zero = jnp.asarray(0.0 if p > 0 else math.inf, x.dtype)
    powers = x * x if p == 2 else jnp.where(is_zero, of_zero, jnp.where(is_zero, 1.0, size) ** p)
    total = jnp.sum(powers, axes, keepdims=True)
    positive = jnp.where(total == 0, 1.0, total)
    root = jnp.sqrt(positive) if p == 2 else positive ** (1 / p)
    return jnp.where(total == 0, 0.0, root)
