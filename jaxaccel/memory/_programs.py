"""What a step is given, as shapes, and whether a compiler refuses it for want of memory."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, SingleDeviceSharding

from jaxaccel import aot

REFUSALS = ("RESOURCE_EXHAUSTED", "out of memory")
"""What the texts of compilers and of runtimes say where memory does not suffice."""


def shapes(tree: Any, topology: str | None = None) -> Any:
    """Return the shapes of arrays, where they are, or on the first device of a topology.

    What is spread over a mesh stays there: it is for the mesh's own devices.
    """
    device = None if topology is None else aot.topology_devices(topology)[0]
    place = None if device is None else SingleDeviceSharding(device)

    def one(leaf: Any) -> jax.ShapeDtypeStruct:
        sharding = getattr(leaf, "sharding", None)
        if isinstance(leaf, jax.Array) and not leaf.committed:
            sharding = None
        if place is not None and not isinstance(sharding, NamedSharding):
            sharding = place
        return jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf), sharding=sharding)

    return jax.tree.map(one, tree)


def is_refusal(error: Exception) -> bool:
    """Return whether an error says that there is not enough memory."""
    text = str(error).lower()
    is_known = isinstance(error, (jax.errors.JaxRuntimeError, RuntimeError, MemoryError))
    return is_known and any(each.lower() in text for each in REFUSALS)


def first_line(error: Exception) -> str:
    """Return what an error says, without what follows in further lines."""
    return str(error).strip().partition("\n")[0]


def nbytes_of(tree: Any, *, on_all: bool = False) -> int:
    """Return the bytes of arrays on one device, or of the arrays themselves, without padding."""
    total = 0
    for leaf in jax.tree.leaves(tree):
        shape = np.shape(leaf) if on_all else local_shape(leaf)
        total += math.prod(shape) * _dtype(leaf).itemsize
    return total


def _dtype(leaf: Any) -> Any:
    """Return a leaf's dtype as JAX has it: of keys their own."""
    is_of_jax = isinstance(leaf, (jax.Array, jax.ShapeDtypeStruct))
    return leaf.dtype if is_of_jax else jnp.result_type(leaf)


def local_shape(leaf: Any) -> tuple[int, ...]:
    """Return the shape of the part of an array that one device holds."""
    sharding = getattr(leaf, "sharding", None)
    return np.shape(leaf) if sharding is None else sharding.shard_shape(np.shape(leaf))


def devices_of(tree: Any) -> int:
    """Return over how many devices arrays lie."""
    places = [getattr(leaf, "sharding", None) for leaf in jax.tree.leaves(tree)]
    return max((len(place.device_set) for place in places if place is not None), default=1)
