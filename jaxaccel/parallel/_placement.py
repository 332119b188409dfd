"""Where arrays live on a mesh: a copy on every device, or a share of the batch on each."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxaccel._checked import checked
from jaxaccel._rows import count_rows, row_axes
from jaxaccel._types import AxisName


@checked
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


@checked
def shard_batch(tree: Any, mesh: Mesh, axis: AxisName = "data", batch_axes: Any = 0) -> Any:
    """Return a batch with the rows of every array split over a mesh axis.

    Of several processes each hands in its own rows, and together they make up the batch.

    Args:
        tree: A pytree of arrays with the same number of rows.
        mesh: The mesh.
        axis: The mesh axis to split over, or a tuple of them.
        batch_axes: The axis of each leaf that holds its rows, ``None`` for a leaf that every device
            gets whole (every process must have the same then): one for all or a prefix of the
            batch's tree, as ``jax.vmap``'s ``in_axes``. Scalars are given whole without saying.

    Returns:
        The same values as arrays of the whole mesh.

    Raises:
        ValueError: The mesh has no such axis, its size does not divide the batch, or the leaves
            disagree on the number of rows.

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
    axes, rows = known_axes(mesh, axis), row_axes(tree, batch_axes)
    specs = batch_specs(tree, rows, axes)
    where = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    if jax.process_count() == 1:
        check_batch_divides(tree, rows, mesh, axes)
        return jax.device_put(tree, where)
    count_rows(tree, rows)
    return jax.tree.map(
        lambda leaf, place: jax.make_array_from_process_local_data(place, np.asarray(leaf)),
        tree,
        where,
    )


def known_axes(mesh: Mesh, axis: AxisName) -> tuple[str, ...]:
    """Return one or more axis names as a tuple; raise unless the mesh has them."""
    axes = (axis,) if isinstance(axis, str) else tuple(axis)
    if not axes or any(name not in mesh.shape for name in axes):
        raise ValueError(f"the mesh has axes {tuple(mesh.shape)}, got axis={axis!r}")
    return axes


def batch_specs(batch: Any, rows: list[int | None], axes: tuple[str, ...]) -> Any:
    """Return a PartitionSpec for each leaf of a batch: its rows split, else whole."""
    entry: Any = axes if len(axes) > 1 else "".join(axes)
    return jax.tree.unflatten(
        jax.tree.structure(batch),
        [PartitionSpec() if a is None else PartitionSpec(*[None] * a, entry) for a in rows],
    )


def check_batch_divides(
    batch: Any, rows: list[int | None], mesh: Mesh, axes: tuple[str, ...]
) -> None:
    """Raise unless the leaves have as many rows as each other, a multiple of the axes' size."""
    count, devices = count_rows(batch, rows), math.prod(mesh.shape[name] for name in axes)
    if count is not None and count % devices:
        names = repr(axes[0]) if len(axes) == 1 else str(axes)
        raise ValueError(
            f"a batch of {count} cannot be split over the {devices} devices of mesh axis {names}; "
            f"drop the last, smaller batch or choose a multiple of {devices}"
        )
