"""A cast that autocast sees."""

from __future__ import annotations

import jax

from jaxaccel import _operations
from jaxaccel._checked import checked
from jaxaccel._types import DType
from jaxaccel.precision._autocast_nested import with_visible_cast


@checked
def to(x: jax.Array, dtype: DType) -> jax.Array:
    """Return an array in a dtype, seen by :func:`autocast` whatever Python takes its dtype for.

    Inside a region an array that was computed in bfloat16 looks as if it were float32, and
    ``x.astype(jnp.float32)`` does nothing.

    Args:
        x: An array.
        dtype: The dtype.

    Returns:
        The array in ``dtype``.

    Raises:
        TypeError: ``dtype`` is not a dtype.

    PyTorch:
        ``tensor.to(dtype)``, ``tensor.float()``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def f(x):
        ...     product = x @ x
        ...     return product.astype(jnp.float32), ja.precision.to(product, jnp.float32)
        >>> hidden, seen = ja.precision.autocast(f, "tpu")(jnp.eye(2))
        >>> print(hidden.dtype, seen.dtype)
        bfloat16 float32
    """
    return with_visible_cast(x, dtype) if _operations.in_region() else x.astype(dtype)
