"""Several processes: what each holds alone, what all must agree on, and arrays of all together."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from jaxaccel._keys import is_key

SAMPLE = 2**18
"""Of a leaf of a batch at most so many numbers are compared between processes."""

MAKE_GLOBAL = {
    "params": "parallel.replicate(params, mesh)",
    "model_state": "parallel.replicate(model_state, mesh)",
    "batch": "parallel.shard_batch(batch, mesh)",
    "state": "training.train_state(..., mesh=mesh)",
}
"""How an array that one of several processes holds alone becomes part of the whole."""


def is_global(leaf: Any) -> bool:
    """Return whether an array is part of one that lies over several processes."""
    return isinstance(leaf, jax.Array) and not leaf.is_fully_addressable


def check_global(remedies: dict[str, str], **trees: Any) -> None:
    """Raise for an array that one of several processes holds alone, which it takes for the whole.

    Every process would silently use its share of its own rows as if it were the same batch.
    """
    for name, tree in trees.items():
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
            if getattr(leaf, "shape", ()) and not is_global(leaf):
                raise ValueError(
                    f"{name}{jax.tree_util.keystr(path)} is an array of process "
                    f"{jax.process_index()} alone, one of {jax.process_count()}; make it part of "
                    f"the whole with {remedies[name]}"
                )


def of_all_processes(numbers: Sequence[int]) -> np.ndarray:
    """Return one row of numbers, below 2**32, from each process; all must call it."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.array(numbers, np.uint32)))


def as_host_array(leaf: Any) -> np.ndarray:
    """Return a leaf on the host, in the dtype that JAX gives it; of keys, the words."""
    if is_key(leaf):
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    return array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False)


def digest(leaves: Sequence[Any], largest: int | None = None) -> int:
    """Return a number that is another one for other values, of all or of some of each leaf."""
    found = 0
    for leaf in leaves:
        array = as_host_array(leaf).reshape(-1)
        if largest is not None:
            array = array[:: max(1, array.size // largest)]
        found = zlib.crc32(np.ascontiguousarray(array).tobytes(), found)
    return found


def shared_array(leaf: Any, place: NamedSharding, is_whole: bool) -> jax.Array:
    """Return one array over all processes, of what each has of it, or of the whole in each."""
    if is_global(leaf):
        return jax.device_put(leaf, place)
    array = as_host_array(leaf)
    shape = array.shape if is_whole else None
    found = jax.make_array_from_process_local_data(place, array, shape)
    if is_key(leaf):
        return jax.random.wrap_key_data(found, impl=jax.random.key_impl(leaf))
    return found
