"""The batches of an order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from jaxaccel._checked import checked_but


@checked_but("batch_size", "drop_last")
def batch_sampler(sampler: Iterable[Any], batch_size: int, drop_last: bool) -> Iterator[np.ndarray]:
    """Cut an order into batches as PyTorch's ``BatchSampler`` does.

    Args:
        sampler: Row numbers, such as ``random_sampler`` returns; it may be endless, and no
            more of it is read than PyTorch reads.
        batch_size: Rows per batch.
        drop_last: Whether to leave out a last batch that is smaller.

    Returns:
        An iterator of int64 arrays. To go on after ``used`` batches give it
        ``order[used * batch_size:]``.

    Raises:
        ValueError: ``batch_size`` is not a positive integer, or ``drop_last`` not a boolean.

    PyTorch:
        ``torch.utils.data.BatchSampler``, which yields lists.

    Example:
        >>> import jaxaccel as ja
        >>> [rows.tolist() for rows in ja.data.batch_sampler(range(5), 2, False)]
        [[0, 1], [2, 3], [4]]
    """
    check_batches(batch_size, drop_last)
    return _batches(iter(sampler), batch_size, drop_last)


def check_batches(batch_size: Any, drop_last: Any) -> None:
    """Check what batches are to be; PyTorch's texts."""
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
        raise ValueError(
            f"batch_size should be a positive integer value, but got batch_size={batch_size}"
        )
    if not isinstance(drop_last, bool):
        raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")


def _batches(rows: Iterator[Any], batch_size: int, drop_last: bool) -> Iterator[np.ndarray]:
    """Yield batches; nothing is read before the first is asked for."""
    smallest = batch_size if drop_last else 1
    while len(batch := np.fromiter(islice(rows, batch_size), np.int64)) >= smallest:
        yield batch
