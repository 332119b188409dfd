"""Shapes of new arrays, checked with PyTorch's text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxaccel._checks import as_integer

MOST = 2**40
"""Numbers of the largest new array: of larger ones a compiler may abort, and not raise."""


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape as a tuple of Python's integers.

    Raises:
        TypeError: It is not made of integers.
        ValueError: A number is negative, or the array would have more numbers than any memory.
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
    check_size("shape", sizes)
    return sizes


def check_size(name: str, sizes: Sequence[int]) -> None:
    """Raise for a new array of more numbers than any memory, with the beginning of PyTorch's text.

    Raises:
        ValueError: It has more.
    """
    if math.prod(sizes) >= MOST:
        raise ValueError(
            f"not enough memory: you tried to allocate {math.prod(sizes)} numbers\n"
            f"{name} is {list(sizes)}, and no array here has 2**40 numbers or more"
        )
