"""Shapes on the devices of a machine that is not here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxaccel._arrays import is_array
from jaxaccel._meshes import mesh_over


def mesh_for(devices: Sequence[Any], mesh: Mesh | Mapping[str, int] | None, topology: str) -> Mesh:
    """Return a mesh of a topology's devices."""
    if isinstance(mesh, Mesh):
        if {*mesh.devices.flat} != {*devices}:
            raise ValueError(
                f"mesh must be of the {len(devices)} devices of {topology!r}, got one of "
                f"{mesh.size} {mesh.devices.flat[0].device_kind}; make it with "
                f"parallel.make_mesh(devices=aot.topology_devices({topology!r})), or pass the "
                "sizes of its axes, {'data': ...}"
            )
        return mesh
    sizes = {"data": len(devices)} if mesh is None else dict(mesh)
    free = [axis for axis, size in sizes.items() if size == -1]
    others = -math.prod(sizes.values())
    if len(free) == 1 and others > 0 and len(devices) % others == 0:
        sizes[free[0]] = len(devices) // others
    if math.prod(sizes.values()) != len(devices) or min(sizes.values(), default=1) < 1:
        raise ValueError(
            f"mesh {sizes} does not fit {topology!r}, which has {len(devices)} devices: the sizes "
            "must multiply to their number; one of them may be -1"
        )
    return mesh_over(sizes, devices)


def placed(name: str, tree: Any, mesh: Mesh) -> Any:
    """Return a tree's shapes on a mesh; numbers of Python stay."""

    def place(path: Any, leaf: Any) -> Any:
        if isinstance(leaf, (bool, int, float, complex)):
            return leaf
        where = name + jax.tree_util.keystr(path)
        if not isinstance(leaf, jax.ShapeDtypeStruct) and not is_array(leaf):
            raise TypeError(
                f"{where} must be an array or a jax.ShapeDtypeStruct, got {leaf!r:.80}; "
                "jax.eval_shape returns the shapes that a function would return"
            )
        spec = _spec(where, leaf, mesh)
        _check_divides(where, jnp.shape(leaf), spec, mesh)
        dtype = leaf.dtype if hasattr(leaf, "dtype") else jnp.result_type(leaf)
        dtype = jax.dtypes.canonicalize_dtype(dtype, allow_extended_dtype=True)
        place = NamedSharding(mesh, spec)
        weak = bool(getattr(leaf, "weak_type", False))
        return jax.ShapeDtypeStruct(jnp.shape(leaf), dtype, sharding=place, weak_type=weak)

    with jax.set_mesh(mesh):  # what a PartitionSpec without a mesh speaks of
        return jax.tree.map_with_path(place, tree)


def _spec(where: str, leaf: Any, mesh: Mesh) -> PartitionSpec:
    """Return over which axes of the mesh a leaf is divided."""
    try:
        spec = getattr(getattr(leaf, "sharding", None), "spec", None)
        if not isinstance(spec, PartitionSpec):
            return PartitionSpec()
        return NamedSharding(mesh, spec).spec
    except ValueError as error:
        raise ValueError(
            f"{where} lies along axes that the mesh does not have, which has {dict(mesh.shape)}; "
            f"pass mesh={{axis: size}} with them, or another sharding ({error})"
        ) from error


def _names(spec: PartitionSpec) -> list[str]:
    """Return all axes of a specification."""
    parts = (part if isinstance(part, tuple) else (part,) for part in spec)
    return [axis for part in parts for axis in part if isinstance(axis, str)]


def _check_divides(where: str, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mesh) -> None:
    """Raise for an axis that the devices cannot share evenly."""
    for axis, part in enumerate(spec):
        names = _names(PartitionSpec(part))
        count = math.prod(mesh.shape[name] for name in names)
        if shape[axis] % count:
            raise ValueError(
                f"{where} has shape {shape}, of which axis {axis} does not divide among the "
                f"{count} devices of mesh axis {', '.join(map(repr, names))}; choose a multiple of "
                f"{count}"
            )
