"""One seed for all random streams of a script."""

from __future__ import annotations

import random as python
from typing import NamedTuple

import jax
import numpy as np

from jaxaccel._checked import checked
from jaxaccel.random import Generator
from jaxaccel.training._deterministic import set_deterministic

LARGEST = 2**32 - 1
"""Of NumPy's global stream; the others take it, too."""


class Seeds(NamedTuple):
    """What a script draws from, all of one seed."""

    seed: int
    """The seed: for ``data.epoch_order`` and what else takes a number."""
    key: jax.Array
    """A typed JAX key: for ``training.train_state`` and ``jax.random``."""
    generator: Generator
    """PyTorch's stream after ``torch.manual_seed(seed)``: for weights and the order of batches."""


@checked
def set_seed(seed: int = 42, *, deterministic: bool = False) -> Seeds:
    """Seed Python's and NumPy's global streams, and return a key and a generator of the same seed.

    A run that draws from these only has the same bits every time, on one kind of device; on GPUs
    with ``deterministic``. Draws of JAX and of the generator are not global: hand on what is
    returned.

    Args:
        seed: From 0 to 2**32 - 1, which all four take.
        deterministic: Call :func:`set_deterministic` as well, before the key is made: XLA reads its
            flags when the first array is made, so it can be asked for only once in a process, and
            not after :func:`set_seed` without it. It costs speed on GPUs and changes nothing
            elsewhere.

    Returns:
        :class:`Seeds`: the seed, the key and the generator.

    Raises:
        ValueError: ``seed`` is out of range; no stream was seeded.
        TypeError: ``seed`` is not an integer.
        RuntimeError: ``deterministic``, and there are arrays already; no stream was seeded.

    PyTorch:
        ``random.seed(seed); np.random.seed(seed); torch.manual_seed(seed);
        torch.cuda.manual_seed_all(seed)``. ``torch.backends.cudnn.deterministic = True`` with
        ``torch.backends.cudnn.benchmark = False`` is ``deterministic=True``. The generator has the
        CPU's bits after ``torch.manual_seed``; the key stands for the CUDA generators and has
        JAX's own bits.

    Example:
        >>> import random
        >>> import jaxaccel as ja
        >>> seeds = ja.training.set_seed(42)
        >>> print(random.random(), seeds.generator.rand((1,)), seeds.key)
        0.6394267984578837 [0.88226926] Array((), dtype=key<fry>) overlaying:
        [ 0 42]
    """
    if not 0 <= seed <= LARGEST:
        raise ValueError(f"seed must be between 0 and 2**32 - 1, as NumPy's, got {seed}")
    if deterministic:
        set_deterministic()
    python.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (the global one is meant)
    return Seeds(seed, jax.random.key(seed), Generator(seed))
