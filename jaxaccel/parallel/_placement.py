"""Where arrays live on a mesh: a copy on every device, or a share of the batch on each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Return the tree with a copy of every array on every device of the mesh.

    Args:
        tree: A pytree of arrays.
        mesh: The mesh.

    Returns:
        The same values, replicated. The arrays are new: donating them leaves the originals alive.

    PyTorch:
        What ``DistributedDataParallel`` does when it is constructed: rank 0's parameters and
        buffers are sent to all.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> print(ja.parallel.replicate(jnp.ones(2), mesh).sharding.is_fully_replicated)
        True
    """
    sharding = NamedSharding(mesh, PartitionSpec())
    # Copied first: device_put may keep the buffer of the device that the array is on already.
    return jax.tree.map(lambda leaf: jax.device_put(jnp.copy(leaf), sharding), tree)


def shard_batch(tree: Any, mesh: Mesh, axis: str = "data") -> Any:
    """Return the tree with the first axis of every array split over a mesh axis.

    Args:
        tree: A pytree of arrays with a common first axis, the batch.
        mesh: The mesh.
        axis: The mesh axis to split over.

    Returns:
        The same values, sharded.

    Raises:
        ValueError: The mesh has no such axis, or its size does not divide the batch.

    PyTorch:
        ``DistributedSampler`` gives each rank its own rows; here one global array holds them.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> print(ja.parallel.shard_batch(jnp.ones((4, 2)), mesh).sharding.spec[0])
        data
    """
    check_batch_divides(tree, mesh, axis)
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec(axis)))


def check_axis(mesh: Mesh, axis: str) -> None:
    """Raise unless the mesh has the axis."""
    if axis not in mesh.shape:
        raise ValueError(f"the mesh has axes {tuple(mesh.shape)}, got axis={axis!r}")


def check_batch_divides(tree: Any, mesh: Mesh, axis: str) -> None:
    """Raise unless the mesh axis exists and its size divides the first axis of every leaf."""
    check_axis(mesh, axis)
    devices = mesh.shape[axis]
    for leaf in jax.tree.leaves(tree):
        if leaf.shape[0] % devices:
            raise ValueError(
                f"a batch of {leaf.shape[0]} cannot be split over the {devices} devices of mesh "
                f"axis {axis!r}; drop the last, smaller batch or choose a multiple of {devices}"
            )
