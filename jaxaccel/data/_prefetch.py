"""Batches on their way to the device while the device is busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from jax.sharding import Sharding

from jaxaccel._checked import checked
from jaxaccel._processes import is_global


@checked
def prefetch_to_device(iterator: Iterable[Any], size: int = 2, sharding: Any = None) -> Iterator:
    """Keep the next batches of ``iterator`` on the device, ahead of their use.

    Transfers and compiled steps are queued and run on their own, so while the device works at one
    step the host cuts and sends the batches of the next: no thread is needed, as long as the loop
    does not wait for each result (``float(loss)`` in every step does). Send bytes (uint8) and
    ``normalize`` on the device. Where the CPU is the device there is little to gain.

    Args:
        iterator: Batches on the host: NumPy arrays or pytrees of them. The arrays
            must not be written to afterwards: a transfer may be under way, or on a CPU the
            device may use them in place.
        size: How many batches have been sent when one is handed out, itself included; at least 1,
            which sends nothing ahead. 2 is double buffering.
        sharding: Where the batches go, as ``jax.device_put`` takes it: a ``NamedSharding`` that
            splits the first axis over the mesh, a device, or None for the default
            device. Of several processes map ``parallel.shard_batch`` over the batches, and leave
            this out.

    Returns:
        An iterator over the same batches in the same order, as ``jax.Array``. An error that
        ``iterator`` raises comes after the batches before it.

    Raises:
        ValueError: ``size`` is not a positive integer, or ``sharding`` lies over several processes
            (map ``parallel.shard_batch`` over the batches before); later, from JAX, a batch does
            not divide evenly over the devices (``drop_last=True`` of ``batches`` prevents it).

    PyTorch:
        ``DataLoader(..., pin_memory=True, prefetch_factor=size)`` followed by
        ``batch.to(device, non_blocking=True)``.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> rows = np.arange(5, dtype=np.uint8)
        >>> ahead = ja.data.prefetch_to_device(ja.data.batches(rows, rows, 2))
        >>> [int(labels.sum()) for _, labels in ahead]
        [1, 5, 4]
    """
    if size < 1:
        raise ValueError(f"prefetch_to_device: size must be a positive integer, got {size!r}")
    places = [place for place in jax.tree.leaves(sharding) if isinstance(place, Sharding)]
    if not all(place.is_fully_addressable for place in places):
        raise ValueError(
            "prefetch_to_device: sharding lies over several processes, of which each has only its "
            "own rows; leave it out and map parallel.shard_batch over the batches"
        )
    return _prefetch((_sent(batch, sharding) for batch in iterator), size)


def _sent(batch: Any, sharding: Any) -> Any:
    """Start the transfer of a batch, unless it is on the devices of all processes already."""
    if any(map(is_global, jax.tree.leaves(batch))):
        return jax.tree.map(lambda leaf: leaf if is_global(leaf) else jax.device_put(leaf), batch)
    return jax.device_put(batch, sharding)


def _prefetch(transfers: Iterator[Any], size: int) -> Iterator:
    """Hold up to ``size`` started transfers; hand them out before an error that ends them."""
    ahead: deque[Any] = deque()
    failure: Exception | None = None
    more = True
    while more or ahead:
        while more and len(ahead) < size:
            try:
                ahead.append(next(transfers))
            except StopIteration:
                more = False
            except Exception as error:
                more, failure = False, error
        if ahead:
            yield ahead.popleft()
    if failure is not None:
        raise failure
