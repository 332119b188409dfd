"""A random split of a data set, PyTorch's bits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence, Sized
from itertools import accumulate

import numpy as np

from jaxaccel._checked import checked
from jaxaccel.data._random_sampler import check_a_generator
from jaxaccel.random import Generator


@checked
def random_split(
    dataset: Sized, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[np.ndarray]:
    """Split the rows of a data set at random as PyTorch's ``random_split`` does.

    Args:
        dataset: What is split; only its length is used, so ``range(n)`` will do.
        lengths: How many rows each part gets, or fractions that sum to 1: then each part gets
            ``floor(fraction * len(dataset))`` rows, and what is left is dealt out one by one, to
            the first part first.
        generator: The ``jaxaccel.random.Generator`` that the rows are drawn from. Where PyTorch
            is given none it is the one that stands for PyTorch's global generator.

    Returns:
        The row numbers of each part, int64 arrays: rows are taken by ``images[part]``.

    Raises:
        ValueError: The lengths do not sum to the length of ``dataset``, a fraction is not between
            0 and 1, or there is no generator.
        TypeError: A length is not an integer and the lengths are not fractions.

    PyTorch:
        ``torch.utils.data.random_split``: the ``indices`` of its subsets, the same state of the
        generator afterwards, and the same warning for a fraction that comes to less than a row.
        The default generator, too, must be passed.

    Example:
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> train, test = ja.data.random_split(range(5), [0.7, 0.3], generator)
        >>> train.tolist(), test.tolist()
        ([4, 0, 1, 3], [2])
    """
    check_a_generator("random_split", generator)
    assert generator is not None
    count = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_of(lengths, count)
    if sum(lengths) != count:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    if not all(isinstance(length, (int, np.integer)) for length in lengths):
        raise TypeError(f"random_split: lengths must be integers or sum to 1, got {lengths}")
    order = generator.randperm(count)
    stops = accumulate(lengths)
    return [order[stop - length : stop] for stop, length in zip(stops, lengths, strict=True)]


def _lengths_of(fractions: Sequence[float], count: int) -> list[int]:
    """Return the number of rows of each fraction."""
    for index, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {index} is not between 0 and 1")
    lengths = [math.floor(count * fraction) for fraction in fractions]
    for left in range(count - sum(lengths)):
        lengths[left % len(lengths)] += 1
    for index, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"Length of split at index {index} is 0. This might result in an empty dataset.",
                stacklevel=4,
            )
    return lengths
