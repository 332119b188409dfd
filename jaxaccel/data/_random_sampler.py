"""The order of ``RandomSampler``: permutations or independent rows, PyTorch's bits."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._remedies import is_too_large
from jaxaccel._types import Generator
from jaxaccel.random import manual_seed


@checked_but("replacement", "num_samples")
def random_sampler(
    data_source: Sized,
    replacement: bool = False,
    num_samples: int | None = None,
    generator: Generator | None = None,
    *,
    default_generator: Generator | None = None,
) -> np.ndarray:
    """Draw the order of one epoch as PyTorch's ``RandomSampler`` does.

    One call is one pass over PyTorch's sampler, and the next call is the next epoch. Without
    ``generator`` PyTorch draws a seed from its global generator, seeds a new generator
    with it and draws from that; here ``default_generator`` stands for the global one.

    To go on in the middle of an epoch, keep the state of the generator from before the call and
    the number of rows used: the rest is ``order[used:]``.

    An order is what grain reads from:
    ``grain.MapDataset.source(order).map(lambda row: images[row])``, or, as the ``sampler`` of its
    ``DataLoader``,
    ``[grain.RecordMetadata(i, record_key=row) for i, row in enumerate(order)]``. Several
    epochs are ``np.concatenate`` of several calls.

    Args:
        data_source: What is sampled; only its length is used, so ``range(n)`` will do.
        replacement: Whether each row is drawn from all rows.
        num_samples: How many rows to draw; None is all, ``len(data_source)``. Without
            replacement more rows than that come from several permutations.
        generator: A ``jaxaccel.random.Generator`` that the rows are drawn from.
        default_generator: The ``jaxaccel.random.Generator`` that a seed is drawn from when there
            is no ``generator``.

    Returns:
        Row numbers, int64, shape ``(num_samples,)``.

    Raises:
        TypeError: ``replacement`` is not a boolean.
        ValueError: ``num_samples`` is not a positive integer, or there are no rows or no
            generator to draw from.

    PyTorch:
        ``torch.utils.data.RandomSampler``: the same rows, and the same states of the generators
        after a whole pass. There the rows are drawn piece by piece as they are asked for, which
        shows when a pass over an explicit generator is broken off; ``data_loader_order`` does it.

    Example:
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> ja.data.random_sampler(range(8), default_generator=generator).tolist()
        [2, 5, 4, 6, 1, 7, 0, 3]
    """
    count, total = checked_sizes(data_source, replacement, num_samples)
    check_a_generator("random_sampler", generator, default_generator)
    return np.concatenate([*random_rows(count, replacement, total, generator, default_generator)])


def checked_sizes(
    data_source: Sized, replacement: bool = False, num_samples: int | None = None
) -> tuple[int, int]:
    """Return how many rows there are and how many to draw; PyTorch's checks."""
    count = len(data_source)
    total = count if num_samples is None else num_samples
    if is_too_large(total):
        raise ValueError(f"num_samples is too large, got {total!r:.80}")
    if not isinstance(replacement, bool):
        raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
    if not isinstance(total, int) or isinstance(total, bool) or total <= 0:
        raise ValueError(
            f"num_samples should be a positive integer value, but got num_samples={total}"
        )
    if count == 0:
        raise ValueError("random_sampler: data_source is empty, there is no row to draw")
    return count, total


def check_a_generator(name: str, *generators: Any) -> None:
    """Raise unless there is something to draw from."""
    if all(generator is None for generator in generators):
        raise ValueError(
            f"{name}: nothing to draw from: PyTorch would use its global generator, which does "
            "not exist here; pass a jaxaccel.random.Generator"
        )


def drawn_seed(generator: Any) -> int:
    """Draw a seed as PyTorch's samplers and loaders do: 63 bits."""
    return int(generator.random((), np.int64))


def random_rows(
    count: int, replacement: bool, total: int, generator: Any, default_generator: Any
) -> Iterator[np.ndarray]:
    """Yield ``total`` row numbers in pieces, each drawn when it is asked for."""
    if generator is None:
        generator = manual_seed(drawn_seed(default_generator))
    if replacement:
        # PyTorch draws 32 at a time, which gives the same numbers.
        yield generator.randint(0, count, (total,))
    else:
        for _ in range(total // count):
            yield generator.randperm(count)
        # PyTorch draws this permutation even when none of it is needed.
        yield generator.randperm(count)[: total % count]
