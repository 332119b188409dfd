"""Random permutations."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from jaxaccel.random._dtypes import COMPLEX, UNSIGNED, check_supported, names_but, scalar_type

_FROM_HERE_64_BITS = ((1 << 32) - 1) // 20
"""PyTorch shuffles a permutation of this size or more in another way, with words of 64 bits."""

_C_NAMES = {"Byte": "uint8_t", "Char": "int8_t", "Short": "int16_t", "Int": "int"}
_EXACT = {"Half": "2049", "Float": "2^24+1", "Double": "2^53+1"}


def randperm(generator: Any, n: int, dtype: Any = np.int64) -> np.ndarray:
    """Draw a permutation of 0 to ``n - 1``.

    Args:
        n: How many numbers, at most 2**32.
        dtype: An integer or floating-point dtype of PyTorch that can count to ``n``.

    Returns:
        A NumPy array of shape ``(n,)``.

    Raises:
        TypeError: ``n`` is not an integer.
        ValueError: ``n`` is above 2**32.
        RuntimeError: ``n`` is negative or more than ``dtype`` can count; JAX is tracing.
        NotImplementedError: PyTorch does not shuffle ``dtype``.

    PyTorch:
        ``torch.randperm``: the same permutation. Without a loop over n, but slower than PyTorch's:
        4 to 8 times.

    Example:
        >>> import jaxaccel as ja
        >>> ja.random.manual_seed(0).randperm(5)
        array([4, 0, 1, 3, 2])
    """
    n = _checked_size(n, dtype)
    if n < 2:
        return np.zeros(n, dtype)
    if n < _FROM_HERE_64_BITS:
        shuffled = shuffle_forwards(generator.words32(n - 1), n)
    else:
        shuffled = shuffle_inside_out(generator.words64(n), n)
    return shuffled.astype(dtype, copy=False)


def shuffle_forwards(words: np.ndarray, n: int) -> np.ndarray:
    """Shuffle 0 to ``n - 1``: for i from 0 to n - 2, exchange places i and i + words[i] % (n - i).

    Without a loop over i. What step i takes from place j is what an earlier step t has put there,
    the last one that reached j, and this is what stood at place t when its turn came; or j, if
    none has. So every place is followed back to the number that it held at the start.
    """
    steps = np.arange(words.size, dtype=np.uint32)
    targets = (steps + words % (np.uint32(n) - steps)).view(np.int32)
    before, last = previous_and_last(targets, n)
    # A place that its own step reaches last is not a later step's source: it may be its own root.
    source = roots(np.where(last < 0, np.arange(n, dtype=last.dtype), last))
    result = source[np.append(before, n - 1)]
    np.copyto(result[:-1], targets, where=before < 0)
    return result


def shuffle_inside_out(words: np.ndarray, n: int) -> np.ndarray:
    """Shuffle 0 to ``n - 1``: for all i, place i takes over from z = words[i] % (i + 1), z gets i.

    Without a loop over i. What place i takes over is the last earlier step that reached z, or
    what place z took over when its own turn came.
    """
    places = np.arange(n)
    targets = (words % (places + 1).astype(np.uint64)).view(np.int64)
    before, last = previous_and_last(targets, n)
    source = roots(np.where(before < 0, targets, places))
    taken_over = np.where(before < 0, places, before)[source]
    return np.where(last < 0, taken_over, last)


def previous_and_last(targets: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each step the last earlier one of the same target, and the last of each target.

    -1 stands for none.
    """
    index = targets.dtype
    keys = targets.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(targets.size, dtype=np.uint64)
    keys.sort()
    steps = keys.astype(np.uint32).astype(index)
    keys >>= np.uint64(32)
    before = np.empty(targets.size, index)
    earlier = np.where(keys[1:] == keys[:-1], steps[:-1], index.type(-1))
    before[steps] = np.append(index.type(-1), earlier)
    last = np.full(n, -1, index)
    last[keys.view(np.int64)] = steps  # NumPy keeps the last of several
    return before, last


def roots(parents: np.ndarray) -> np.ndarray:
    """Follow each number to its parent until that is its own, twice as far in each round."""
    found = parents.copy()
    going = np.flatnonzero(parents != np.arange(parents.size, dtype=parents.dtype))
    while going.size:
        reached = found[going]
        further = found[reached]
        found[going] = further
        going = going[further != reached]
    return found


def _checked_size(n: Any, dtype: Any) -> int:
    scalar = scalar_type(dtype)
    try:
        size = operator.index(n)
    except TypeError:
        size = None
    if size is None or isinstance(n, bool):
        raise TypeError(
            f"randperm(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    if size < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {size}: [{size}]")
    if size > 1 << 32:
        raise ValueError(f"n must be at most 2**32, got {size}")
    if scalar.name in _C_NAMES and size - 1 > np.iinfo(scalar.dtype).max:
        raise RuntimeError(
            f"value cannot be converted to type {_C_NAMES[scalar.name]} without overflow"
        )
    if scalar.name in _EXACT and size > (1 << scalar.digits) + 1:
        limit = _EXACT[scalar.name]
        raise RuntimeError(f"n cannot be greater than {limit} for {scalar.name} type.")
    check_supported(scalar, names_but("Bool", *UNSIGNED, *COMPLEX), "randperm")
    return size
