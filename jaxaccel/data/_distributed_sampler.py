"""The order of ``DistributedSampler``: every process its share of a common permutation."""

from __future__ import annotations

from collections.abc import Sized

import jax
import numpy as np

from jaxaccel._checked import checked
from jaxaccel.random import manual_seed


@checked
def distributed_sampler(
    dataset: Sized,
    num_replicas: int | None = None,
    rank: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    drop_last: bool = False,
    *,
    epoch: int = 0,
) -> np.ndarray:
    """Return the rows of one process in one epoch as PyTorch's ``DistributedSampler`` does.

    All processes draw the same permutation and process ``rank`` takes every
    ``num_replicas``-th row of it. Where the rows do not divide evenly, the order is padded from
    its own beginning, or cut with ``drop_last``. The order depends on the arguments
    only: an epoch can be resumed by ``order[used:]``.

    Args:
        dataset: What is sampled; only its length is used, so ``range(n)`` will do.
        num_replicas: How many processes share the rows. None is ``jax.process_count()``.
        rank: Which of them this is, from 0. None is ``jax.process_index()``.
        shuffle: Whether the rows are permuted.
        seed: The seed of the run, the same in all processes.
        drop_last: Whether the rows that do not divide evenly are left out. Otherwise rows are
            repeated.
        epoch: What PyTorch's sampler is told by ``set_epoch``; a shuffled order is drawn with the
            seed ``seed + epoch``.

    Returns:
        Row numbers, int64, the same number of them for every rank.

    Raises:
        ValueError: ``rank`` is not below ``num_replicas``.

    PyTorch:
        ``torch.utils.data.DistributedSampler``: the same rows. ``set_epoch`` is the argument
        ``epoch``, and the process group is that of ``jax.distributed``.

    Example:
        >>> import jaxaccel as ja
        >>> for rank in range(2):
        ...     order = ja.data.distributed_sampler(range(5), 2, rank, epoch=3)
        ...     print(order.tolist())
        [1, 3, 2]
        [0, 4, 1]
    """
    num_replicas = jax.process_count() if num_replicas is None else num_replicas
    rank = jax.process_index() if rank is None else rank
    if rank >= num_replicas or rank < 0:
        raise ValueError(
            f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
        )
    count = len(dataset)
    order = manual_seed(seed + epoch).randperm(count) if shuffle else np.arange(count)
    share = count // num_replicas if drop_last else -(-count // num_replicas)
    # np.resize repeats an order that is too short.
    return np.resize(order, share * num_replicas)[rank::num_replicas]
