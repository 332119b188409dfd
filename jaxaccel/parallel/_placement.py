"""Where arrays live on a mesh: a copy on every device, or a share of the batch on each."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked, checked_but
from jaxaccel._processes import is_global, shared_array
from jaxaccel._rows import count_rows, row_axes
from jaxaccel._tree import path_name
from jaxaccel._types import AxisName, Placement
from jaxaccel.parallel._agreement import check_rows, check_same_values
from jaxaccel.parallel._mesh import check_is_here, check_mesh, device_count, entry_of
from jaxaccel.parallel._sharding_rules import check_spec


@checked
def replicate(tree: Any, mesh: Mesh) -> Any:
    """Return the tree with a copy of every array on every device of the mesh.

    On a mesh over several processes each hands in the same values, which is checked.

    Args:
        tree: A pytree of arrays.
        mesh: The mesh.

    Returns:
        The same values, replicated. The arrays are new: donating them leaves the originals alive.

    Raises:
        ValueError: Processes hand in different values or trees, or the mesh is of devices that are
            not here (``aot.topology_devices``).
        TypeError: A leaf is not an array or a number, or ``mesh`` is not a mesh.

    PyTorch:
        What ``DistributedDataParallel`` does when it is constructed: rank 0's parameters and
        buffers are sent to all. Here processes that differ are an error: they would draw other
        random numbers later, too.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> print(ja.parallel.replicate(jnp.ones(2), mesh).sharding.is_fully_replicated)
        True
    """
    check_mesh(mesh)
    check_is_here(mesh)
    check_arrays("tree", tree)
    return put(tree, mesh, lambda path, leaf: PartitionSpec())


@checked_but("axis")
def shard_batch(
    tree: Any,
    mesh: Mesh,
    axis: AxisName = "data",
    batch_axes: Any = 0,
    *,
    whole: bool | None = None,
) -> Any:
    """Return a batch with the rows of every array split over a mesh axis.

    Of several processes each hands in its own rows, and together they make up the batch, in the
    order of the mesh's devices. Whether that is so is asked of all of them with every batch: a few
    numbers are exchanged, which waits for the steps before.

    Args:
        tree: A pytree of arrays with the same number of rows.
        mesh: The mesh.
        axis: The mesh axis to split over, or a tuple of them.
        batch_axes: The axis of each leaf that holds its rows, ``None`` for a leaf that every device
            gets whole (every process must have the same then): one for all or a prefix of the
            batch's tree, as ``jax.vmap``'s ``in_axes``. Scalars are given whole without saying.
        whole: Of several processes: ``True`` where each is given the whole batch, the same rows, of
            which it keeps its share; ``False`` where each has its own and nothing shall be
            exchanged (in a thread it must not), also if the rows happen to be the same. Default:
            its own, and the same rows everywhere are refused, as the whole batch handed in by
            mistake.

    Returns:
        The same values as arrays of the whole mesh; of those of the whole mesh, the same.

    Raises:
        ValueError: The mesh has no such axis or is of devices that are not here, its size does not
            divide the batch, or the leaves disagree on the number of rows. Of several processes:
            they hand in different numbers of rows, other shapes or dtypes, other leaves without
            rows, or the same rows, against what ``whole`` says.
        TypeError: A leaf is not an array or a number, or ``mesh`` is not a mesh.

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
    check_arrays("tree", tree)
    axes, rows = known_axes(mesh, axis), row_axes(tree, batch_axes)
    check_is_here(mesh)
    specs = batch_specs(tree, rows, axes)
    where = jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs)
    if not mesh.is_multi_process:
        check_batch_divides(tree, rows, mesh, axes)
        return jax.device_put(tree, where)
    check_rows(tree, rows, mesh, axes, whole)
    leaves, treedef = jax.tree.flatten(tree)
    triples = zip(leaves, rows, jax.tree.leaves(where), strict=True)
    return treedef.unflatten(
        [shared_array(leaf, place, bool(whole) or axis is None) for leaf, axis, place in triples]
    )


def put(tree: Any, mesh: Mesh, placement: Placement) -> Any:
    """Return new arrays where a placement says, on a mesh of devices that are here."""
    if mesh.is_multi_process:
        check_same_values(tree, mesh)

    def place(path: Any, leaf: Any) -> Any:
        where = place_of(path, leaf, mesh, placement)
        if mesh.is_multi_process:
            return shared_array(jnp.copy(leaf) if is_global(leaf) else leaf, where, True)
        if isinstance(leaf, np.ndarray):  # to each device its part; nothing is whole on one
            return jax.device_put(leaf, where, may_alias=False)
        # Copied first: device_put may keep the buffer of the device that the array is on already.
        return jax.device_put(jnp.copy(leaf), where)

    return jax.tree_util.tree_map_with_path(place, tree)


def place_of(path: Any, leaf: Any, mesh: Mesh, placement: Placement) -> NamedSharding:
    """Return where a placement says that an array lives, checked."""
    name, shape = path_name(path), jnp.shape(leaf)
    spec = placement(name, leaf)
    check_spec("placement", name, shape, spec, mesh)
    return NamedSharding(mesh, spec, memory_kind=memory_of(leaf))


def memory_of(leaf: Any) -> str | None:
    """Return the host's memory for what is there, and None for a device's own."""
    kind = getattr(getattr(leaf, "sharding", None), "memory_kind", None)
    return kind if kind == "pinned_host" else None


def known_axes(mesh: Mesh | AbstractMesh, axis: AxisName) -> tuple[str, ...]:
    """Return one or more axis names as a tuple; raise unless the mesh has them."""
    check_mesh(mesh)
    is_several = isinstance(axis, (tuple, list)) and len(set(map(repr, axis))) == len(axis)
    axes: tuple[Any, ...] = tuple(axis) if is_several else (axis,)
    if not axes or not all(isinstance(name, str) and name in mesh.shape for name in axes):
        raise ValueError(
            f"the mesh has axes {tuple(mesh.shape)}, got axis={axis!r}; name one of them, or "
            "several, each once"
        )
    return axes


def batch_specs(batch: Any, rows: list[int | None], axes: tuple[str, ...]) -> Any:
    """Return a PartitionSpec for each leaf of a batch: its rows split, else whole."""
    entry = entry_of(axes)
    return jax.tree.unflatten(
        jax.tree.structure(batch),
        [PartitionSpec() if a is None else PartitionSpec(*[None] * a, entry) for a in rows],
    )


def check_batch_divides(
    batch: Any, rows: list[int | None], mesh: Mesh | AbstractMesh, axes: tuple[str, ...]
) -> None:
    """Raise unless the leaves have as many rows as each other, a multiple of the axes' size."""
    count, devices = count_rows(batch, rows), device_count(mesh, axes)
    if count is not None and count % devices:
        names = repr(axes[0]) if len(axes) == 1 else str(axes)
        raise ValueError(
            f"a batch of {count} cannot be split over the {devices} devices of mesh axis {names}; "
            f"drop the last, smaller batch or choose a multiple of {devices}"
        )
