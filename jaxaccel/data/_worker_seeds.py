"""The seeds of a loader's worker processes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxaccel._checked import checked


class WorkerSeeds(NamedTuple):
    """What a worker process of PyTorch's ``DataLoader`` is seeded with."""

    seed: int
    """For ``random.seed`` and ``torch.manual_seed``, so for ``jaxaccel.random.manual_seed``."""

    numpy: np.ndarray
    """For ``numpy.random.seed``: four numbers, uint32."""


@checked
def worker_seeds(base_seed: int, worker_id: int) -> WorkerSeeds:
    """Return the seeds of one worker process of PyTorch's ``DataLoader``.

    Args:
        base_seed: The number that the loader draws for an epoch, 0 to 2**63 - 1; it is in
            the state that ``data_loader_order`` yields.
        worker_id: The number of the worker, from 0; batch k is made by worker
            ``k % num_workers``.

    Returns:
        The seeds of Python's, PyTorch's and NumPy's generators.

    Raises:
        ValueError: An argument is negative or too large.

    PyTorch:
        What a worker process of ``torch.utils.data.DataLoader`` calls before
        ``worker_init_fn``; ``seed`` is ``torch.utils.data.get_worker_info().seed``.

    Example:
        >>> import jaxaccel as ja
        >>> ja.data.worker_seeds(41, 1).seed
        42

    References:
        O'Neill. Developing a seed_seq Alternative. 2015.
        https://www.pcg-random.org/posts/developing-a-seed_seq-alternative.html
    """
    for name, value, bits in (("base_seed", base_seed, 63), ("worker_id", worker_id, 32)):
        if not 0 <= value < 1 << bits:
            raise ValueError(f"worker_seeds: {name} must be from 0 to 2**{bits} - 1, got {value}")
    # PyTorch's hash of these four words is the one that NumPy's SeedSequence makes of them.
    words = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return WorkerSeeds(base_seed + worker_id, np.random.SeedSequence(words).generate_state(4))
