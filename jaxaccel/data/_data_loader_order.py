"""The order in which PyTorch's ``DataLoader`` hands out the rows, epoch by epoch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from functools import partial
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from jaxaccel._checked import checked_but
from jaxaccel._types import Generator
from jaxaccel.data._batch_sampler import batch_sampler, check_batches
from jaxaccel.data._random_sampler import (
    check_a_generator,
    checked_sizes,
    drawn_seed,
    random_rows,
)


class DataLoaderState(NamedTuple):
    """Where in an epoch a loader is."""

    base_seed: int
    """What the epoch's worker seeds are made from; see ``worker_seeds``."""

    position: int
    """How many batches of the epoch have been handed out."""

    generator_state: np.ndarray
    """The generator's state from before it gave the order of the epoch, uint8, (5056,)."""


Draw = Callable[[Any], Iterable[Any]]


@checked_but("batch_size", "drop_last")
def data_loader_order(
    dataset: Sized,
    batch_size: int = 1,
    shuffle: bool | None = None,
    sampler: Iterable[Any] | Draw | None = None,
    *,
    num_workers: int = 0,
    drop_last: bool = False,
    generator: Generator | None = None,
    prefetch_factor: int | None = None,
    default_generator: Generator | None = None,
    base_seed: int | None = None,
    state: DataLoaderState | None = None,
) -> Iterator[tuple[np.ndarray, DataLoaderState]]:
    """Start an epoch over PyTorch's ``DataLoader``: the rows of its batches.

    One call is one ``iter(loader)``. Everything is drawn at the moment when PyTorch draws it, so
    that other draws from the same generator (dropout, another loader) fall between the same ones:
    a base seed at once, even when nothing is shuffled; the order when the first batch is
    asked for or, with ``num_workers``, at once.

    With each batch comes the state from which the epoch can go on. A checkpoint keeps it
    together with the generator's own, ``generator.get_state()``; to resume, set that and
    give ``state`` for the rest of the interrupted epoch. The next epoch is a call without it.

    Args:
        dataset: What is loaded; only its length is used, so ``range(n)`` will do.
        batch_size: Rows per batch.
        shuffle: Whether the rows come in a new random order.
        sampler: The order instead: row numbers, or a function that is called with the generator
            when PyTorch would draw, such as
            ``lambda g: ja.data.weighted_random_sampler(weights, 100, generator=g)``.
        num_workers: How many processes PyTorch's loader has. None are started here, but it
            changes when the order is drawn.
        drop_last: Whether to leave out a last batch that is smaller.
        generator: PyTorch's argument: the ``jaxaccel.random.Generator`` that base seed and order
            are drawn from.
        prefetch_factor: How many batches ahead each worker is asked for; None is 2.
        default_generator: The ``jaxaccel.random.Generator`` that stands for PyTorch's global one,
            for a loader that is given no ``generator``: base seed and the seed of the order.
        base_seed: With ``persistent_workers=True`` the first epoch's, for all others, which
            draw none.
        state: Where to go on in an epoch: what came with the last batch used. The epoch is played
            again up to there, with the generator as it was then, and the generator is left as it
            was found. Draws of a ``sampler`` from any other generator are not repeated.

    Returns:
        An iterator of pairs: the row numbers of a batch, int64, and the state after it.

    Raises:
        ValueError: An argument is out of range, ``sampler`` and ``shuffle`` exclude each
            other, there is nothing to draw from, or ``state`` is beyond the end of the epoch.

    PyTorch:
        ``torch.utils.data.DataLoader`` over a map-style data set: the same rows, the same state
        of the generator after each batch, the same worker seeds. ``persistent_workers`` is the
        argument ``base_seed``. Left out: ``batch_sampler``, ``batch_size=None``,
        ``in_order=False``, and what does not change the order.

    Example:
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> for epoch in range(2):
        ...     order = ja.data.data_loader_order(
        ...         range(6), 3, shuffle=True, default_generator=generator
        ...     )
        ...     print([rows.tolist() for rows, state in order])
        [[0, 4, 3], [5, 2, 1]]
        [[2, 3, 1], [5, 4, 0]]
    """
    ahead = _checked_ahead(num_workers, prefetch_factor)
    if sampler is not None and shuffle:
        raise ValueError("sampler option is mutually exclusive with shuffle")
    source = default_generator if generator is None else generator
    draw = _checked_draw(dataset, shuffle, sampler, is_default=generator is None)
    check_batches(batch_size, drop_last)
    check_a_generator("data_loader_order", source)
    if state is not None:
        base_seed = state.base_seed
    elif base_seed is None:
        base_seed = drawn_seed(source)
    start = partial(_start, draw, source, batch_size, drop_last, base_seed, ahead)
    return start() if state is None else _resumed(start, source, state)


def _checked_ahead(num_workers: int, prefetch_factor: int | None) -> int | None:
    """Return how many batches are asked for in advance; None without workers."""
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; "
            "use num_workers=0 to disable multiprocessing."
        )
    if num_workers == 0:
        if prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor "
                "to None."
            )
        return None
    factor = 2 if prefetch_factor is None else prefetch_factor
    if factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    return num_workers * factor


def _checked_draw(
    dataset: Sized, shuffle: bool | None, sampler: Iterable[Any] | Draw | None, is_default: bool
) -> Draw:
    """Return what gives the rows of the epoch when it is called with the generator."""
    if sampler is not None:
        return sampler if callable(sampler) else lambda generator: sampler
    if not shuffle:
        return lambda generator: range(len(dataset))
    count, total = checked_sizes(dataset)

    def draw(generator: Any) -> Iterable[Any]:
        generators = (None, generator) if is_default else (generator, None)
        return chain.from_iterable(random_rows(count, False, total, *generators))

    return draw


def _start(
    draw: Draw, source: Any, batch_size: int, drop_last: bool, base_seed: int, ahead: int | None
) -> Iterator[tuple[np.ndarray, DataLoaderState]]:
    """Start the epoch."""
    batches = _batches(draw, source, batch_size, drop_last, base_seed)
    return batches if ahead is None else _behind(batches, deque(islice(batches, ahead)))


def _batches(
    draw: Draw, source: Any, batch_size: int, drop_last: bool, base_seed: int
) -> Iterator[tuple[np.ndarray, DataLoaderState]]:
    """Yield the batches and states; nothing is drawn before the first is asked for."""
    generator_state = source.get_state()
    batches = batch_sampler(draw(source), batch_size, drop_last)
    for position, rows in enumerate(batches, 1):
        yield rows, DataLoaderState(base_seed, position, generator_state)


def _behind(items: Iterator[Any], queue: deque[Any]) -> Iterator[Any]:
    """Yield the items of a queue; before each, one more is taken in."""
    while queue:
        item = queue.popleft()
        queue.extend(islice(items, 1))
        yield item


def _resumed(
    start: Callable[[], Iterator[Any]], source: Any, state: DataLoaderState
) -> Iterator[tuple[np.ndarray, DataLoaderState]]:
    """Play the epoch again up to a state, and leave the generator as it was."""
    now = source.get_state()
    try:
        source.set_state(state.generator_state)
        batches = start()
        done = sum(1 for _ in islice(batches, state.position))
    finally:
        source.set_state(now)
    if done < state.position:
        raise ValueError(
            f"data_loader_order: state.position is {state.position}, "
            f"but the epoch has {done} batches"
        )
    return batches
