"""Device meshes: named axes over the devices there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh

from jaxaccel._checked import checked_but
from jaxaccel._checks import as_integer
from jaxaccel._meshes import is_here, mesh_over


@checked_but("shape", "devices")
def make_mesh(
    shape: Mapping[str, int] | None = None, *, devices: Sequence[Any] | None = None
) -> Mesh:
    """Return a mesh with named axes over the devices.

    Devices are ordered for the axes' collectives where the hardware has a topology (a TPU slice);
    of several slices, slice after slice, so that the first axis runs between them.

    Args:
        shape: ``{axis name: number of devices}``; one size may be -1 and takes what is left.
            Default: one axis ``"data"`` over all devices.
        devices: The devices to use; default: all of this program's (``jax.devices()``).

    Returns:
        A ``jax.sharding.Mesh`` whose axes are in ``shape``'s order, for automatic partitioning.

    Raises:
        ValueError: A size is neither positive nor -1, two sizes are -1, or the sizes do not
            multiply to the number of devices; there is no device, one is there twice, or they are
            of several kinds.
        TypeError: ``shape`` is not a mapping of names to whole numbers, or ``devices`` not a
            sequence of devices.

    PyTorch:
        ``torch.distributed.device_mesh.init_device_mesh(device_type, mesh_shape,
        mesh_dim_names)``: the same idea in one process; shape and names are one mapping, and
        the device type is the devices'.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh({"data": -1}, devices=jax.devices()[:1])
        >>> print(mesh.shape["data"])
        1
    """
    devices = _checked_devices(devices)
    sizes = _checked_sizes({"data": -1} if shape is None else shape)
    known = math.prod(size for size in sizes.values() if size != -1)
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) > 1:
        raise ValueError(f"only one mesh axis may be -1, got {free}")
    if free:
        sizes[free[0]] = len(devices) // known
    if math.prod(sizes.values()) != len(devices):
        raise ValueError(
            f"a mesh of shape {shape} does not fit {len(devices)} devices: the sizes "
            "must multiply to their number; change a size or pass devices="
        )
    return mesh_over(sizes, devices)


def check_mesh(mesh: Mesh | AbstractMesh) -> None:
    """Raise for a mesh whose axes are mapped already."""
    pairs = zip(mesh.axis_names, mesh.axis_types, strict=True)
    manual = [name for name, kind in pairs if kind is AxisType.Manual]
    if manual:
        raise ValueError(
            f"mesh axes must be automatic or explicit, got the manual {manual}, as inside a "
            "shard_map; pass the mesh that it was given, or parallel.make_mesh()"
        )


def check_automatic(what: str, mesh: Mesh | AbstractMesh) -> None:
    """Raise for a mesh whose axes are part of the arrays' types."""
    if any(kind is AxisType.Explicit for kind in mesh.axis_types):
        raise ValueError(
            f"{what} needs a mesh with automatic axes, got {mesh.axis_types}; make it by "
            "parallel.make_mesh"
        )


def device_count(mesh: Mesh | AbstractMesh, axes: Sequence[str]) -> int:
    """Return how many devices lie along some axes of a mesh."""
    return math.prod(mesh.shape[name] for name in axes)


def entry_of(axes: tuple[str, ...]) -> Any:
    """Return the entry of a PartitionSpec for a dimension that is split over some axes."""
    return axes if len(axes) > 1 else "".join(axes) or None


def check_is_here(mesh: Mesh) -> None:
    """Raise for a mesh of devices that this program does not have, on which no array can live."""
    device = mesh.devices.flat[0]
    if not is_here(device):
        raise ValueError(
            f"mesh must be of devices that are here, got {mesh.devices.size} of {device!r:.80}: no "
            "array can live there. Compile for them with shapes in the place of arrays: for a "
            "state parallel.distribute_state(shapes, mesh, placement); or give jax.jit(step).lower "
            "every leaf as jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(mesh, "
            "spec))"
        )


def _checked_sizes(shape: Any) -> dict[str, int]:
    """Return the axes' sizes as Python's integers."""
    if not isinstance(shape, Mapping) or not all(isinstance(axis, str) for axis in shape):
        raise TypeError(
            "shape must map names of axes to numbers of devices, got "
            f"{shape!r}; write make_mesh({{'data': -1}})"
        )
    if not shape:
        raise ValueError("a mesh needs at least one axis, got shape={}; leave it out for one")
    sizes = {}
    for axis, size in shape.items():
        found = as_integer(size)
        if found is None:
            raise TypeError(f"mesh axis {axis!r} must be a whole number, got {size!r}")
        if found != -1 and found < 1:
            raise ValueError(f"mesh axis {axis!r} must be positive or -1, got {size}")
        sizes[axis] = found
    return sizes


def _checked_devices(devices: Any) -> list[Any]:
    """Return the devices of a mesh as a list."""
    if devices is None:
        return jax.devices()
    is_sequence = isinstance(devices, (Sequence, np.ndarray)) and not isinstance(devices, str)
    if isinstance(devices, np.ndarray):
        devices = devices.ravel()
    found: list[Any] = list(devices) if is_sequence else []
    if not is_sequence or not all(hasattr(each, "device_kind") for each in found):
        raise TypeError(f"devices must be a sequence such as jax.devices(), got {devices!r}")
    if not found:
        raise ValueError("a mesh needs at least one device, got devices=[]")
    if len(set(found)) < len(found):
        raise ValueError(f"each device must be there once, got devices={found}")
    kinds = sorted({f"{each.platform} {each.device_kind}" for each in found})
    if len(kinds) > 1:
        raise ValueError(
            f"devices must be of one kind, got {kinds}; choose some with jax.devices(platform)"
        )
    return found
