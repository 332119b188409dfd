"""Exponentials that sum to 1."""

from __future__ import annotations

from typing import Any

import jax

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._types import DType
from jaxaccel.functional._wide import axis_of, check_floating, in_wide


@checked
@operation("softmax")
def softmax(input: jax.Array, dim: int, dtype: DType | None = None) -> jax.Array:
    r"""Return exponentials, divided by their sum along an axis.

    .. math::
        y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}

    Args:
        input: Floating point, of any shape.
        dim: The axis, as the input has it.
        dtype: What the input is cast to first; None for its own.

    Returns:
        The input's shape, and its dtype or ``dtype``.

    Raises:
        IndexError: there is no axis ``dim``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.softmax``: the same. Left out: the deprecated choice of an axis when
        ``dim`` is not given (it depends on where channels are), and ``_stacklevel``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.softmax(jnp.array([0.0, 0.0]), 0).tolist()
        [0.5, 0.5]
    """
    input = input if dtype is None else input.astype(dtype)
    return _along(jax.nn.softmax, input, dim)


@checked
@operation("log_softmax")
def log_softmax(input: jax.Array, dim: int, dtype: DType | None = None) -> jax.Array:
    r"""Return the logarithm of the softmax, which does not underflow.

    .. math::
        y_i = x_i - \log \sum_j e^{x_j}

    Args:
        input: Floating point, of any shape.
        dim: The axis, as the input has it.
        dtype: What the input is cast to first; None for its own.

    Returns:
        The input's shape, and its dtype or ``dtype``.

    Raises:
        IndexError: there is no axis ``dim``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.log_softmax``: the same. Left out: what :func:`softmax` leaves out.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.log_softmax(jnp.array([0.0, -1000.0]), 0).tolist()
        [0.0, -1000.0]
    """
    input = input if dtype is None else input.astype(dtype)
    return _along(jax.nn.log_softmax, input, dim)


@checked
@operation("softmax")
def softmin(input: jax.Array, dim: int, dtype: DType | None = None) -> jax.Array:
    r"""Return the softmax of minus the input.

    .. math::
        y_i = \frac{e^{-x_i}}{\sum_j e^{-x_j}}

    Args:
        input: Floating point, of any shape.
        dim: The axis, as the input has it.
        dtype: What the input is cast to first; None for its own.

    Returns:
        The input's shape, and its dtype or ``dtype``.

    Raises:
        IndexError: there is no axis ``dim``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.softmin``: the same. Left out: what :func:`softmax` leaves out.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.softmin(jnp.array([0.0, 1000.0]), 0).tolist()
        [1.0, 0.0]
    """
    if dtype is None:
        check_floating(input)
    return softmax(-input, dim, dtype)


def _along(formula: Any, input: jax.Array, dim: int) -> jax.Array:
    """Return the formula along an axis; a number alone is an axis of length 1."""
    dim = axis_of(dim, input.ndim)
    if input.ndim == 0:
        return _along(formula, input.reshape(1), 0).reshape(())
    return in_wide(lambda x: formula(x, dim), input)
