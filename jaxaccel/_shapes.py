"""Shapes of new arrays, checked with PyTorch's text."""

from __future__ import annotations

from typing import Any

from jaxaccel._checks import as_integer


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of Python's integers.

    Raises:
        TypeError: It is not made of integers.
        ValueError: A number is negative.
    """
    is_several = hasattr(shape, "__len__") and not isinstance(shape, (str, bytes, dict))
    found = [as_integer(size) for size in shape] if is_several else [None]
    sizes = tuple(size for size in found if size is not None)
    if len(sizes) < len(found):
        raise TypeError(f"shape must be a tuple of ints, got {shape!r:.80}")
    for size in sizes:
        if size < 0:
            raise ValueError(
                f"Trying to create tensor with negative dimension {size}: {list(sizes)}"
            )
    return sizes
