"""What every initializer's function is given: a shape and a dtype, checked before it draws."""

from __future__ import annotations

import functools
from typing import Any, TypeVar, cast

from jaxaccel._shapes import checked_shape
from jaxaccel._types import is_dtype

InitT = TypeVar("InitT")


def drawing(init: InitT) -> InitT:
    """Check shape and dtype of ``init(key, shape, dtype)``, with PyTorch's text where it has one.

    Raises:
        TypeError: The shape is not made of integers, or the dtype is not one.
        ValueError: The shape has a negative number.
    """
    draw: Any = init

    @functools.wraps(draw)
    def checked_init(key: Any, shape: Any, dtype: Any = float) -> Any:
        return draw(key, checked_shape(shape), _checked_dtype(dtype))

    return cast(InitT, checked_init)


def _checked_dtype(dtype: Any) -> Any:
    """Return a dtype, ``None`` for JAX's default one."""
    if dtype is None or is_dtype(dtype):
        return dtype
    raise TypeError(f"dtype must be a dtype such as jnp.float32, got {dtype!r:.80}")
