"""Initializers that draw nothing and fill an array with one number."""

from __future__ import annotations

from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._filled import filled
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init._drawing import drawing


@checked_after
def constant(val: float) -> Initializer:
    """Fill an array with a number.

    Args:
        val: The number.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array; ``key`` is not used.

    PyTorch:
        ``torch.nn.init.constant_``: the same. Left out: the tensor (a new array is returned).

    Example:
        >>> import jaxaccel as ja
        >>> ja.init.constant(0.5)(None, (2,)).tolist()
        [0.5, 0.5]
    """

    @drawing
    def init(key: Key | Generator | None, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return filled(shape, val, dtype)

    return init


@checked_after
def ones() -> Initializer:
    """Fill an array with ones.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array; ``key`` is not used.

    PyTorch:
        ``torch.nn.init.ones_``: the same. Left out: the tensor (a new array is returned).

    Example:
        >>> import jaxaccel as ja
        >>> ja.init.ones()(None, (2,)).tolist()
        [1.0, 1.0]
    """
    return constant(1.0)


@checked_after
def zeros() -> Initializer:
    """Fill an array with zeros.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array; ``key`` is not used.

    PyTorch:
        ``torch.nn.init.zeros_``: the same. Left out: the tensor (a new array is returned).

    Example:
        >>> import jaxaccel as ja
        >>> ja.init.zeros()(None, (2,)).tolist()
        [0.0, 0.0]
    """
    return constant(0.0)
