"""What a step is given, as shapes, and whether a compiler refuses it for want of memory."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, SingleDeviceSharding

from jaxaccel import aot
from jaxaccel._arrays import is_array
from jaxaccel._functions import name_of, taken_by, takes

REFUSALS = ("RESOURCE_EXHAUSTED", "out of memory")
"""What the texts of compilers and of runtimes say where memory does not suffice."""


def check_step(taker: str, step: Any) -> None:
    """Raise for a function that is not one of a state and a batch, such as a loss function."""
    if not takes(step, None, None):
        raise TypeError(
            f"{taker}: step must be a function (state, batch) -> ..., got {name_of(step)}, which "
            f"takes {taken_by(step)}; make a step of a loss function with "
            "training.train_step(training.gradients(loss_fn), tx)"
        )


def idle_devices(topology: str | None, devices: int) -> int:
    """Return how many devices of a topology a program for so many leaves idle."""
    return 0 if topology is None else len(aot.topology_devices(topology)) - devices


def of_idle(idle: int) -> str:
    """Return what a table says of devices that have no part."""
    return (
        f"the topology's other {idle} devices have no part in it: give state and batch shardings "
        "over a mesh of all"
    )


def shapes(tree: Any, topology: str | None = None, name: str = "state") -> Any:
    """Return the shapes of arrays, where they are, or on the first device of a topology.

    What is spread over a mesh stays there: it is for the mesh's own devices.
    """
    device = None if topology is None else aot.topology_devices(topology)[0]
    place = None if device is None else SingleDeviceSharding(device)

    def one(path: Any, leaf: Any) -> jax.ShapeDtypeStruct:
        where = name + jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.ShapeDtypeStruct) and not is_array(leaf):
            raise TypeError(
                f"{where} must be an array or a jax.ShapeDtypeStruct, got {leaf!r:.80}; make a "
                "tensor of PyTorch an array with x.numpy()"
            )
        sharding = _sharding(where, leaf)
        if isinstance(leaf, jax.Array) and not leaf.committed:
            sharding = None
        if place is not None and not isinstance(sharding, NamedSharding):
            sharding = place
        return jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf), sharding=sharding)

    return jax.tree.map_with_path(one, tree)


def _sharding(where: str, leaf: Any) -> Any:
    """Return where a leaf is to lie, which a ``PartitionSpec`` alone does not say."""
    try:
        return getattr(leaf, "sharding", None)
    except TypeError as error:  # JAX looks for a mesh around it
        raise ValueError(
            f"{where} has a PartitionSpec alone, of no mesh; give it "
            "sharding=NamedSharding(mesh, spec), for another machine with mesh = "
            "parallel.make_mesh(devices=aot.topology_devices(topology))"
        ) from error


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
