"""Device meshes: named axes over the devices there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, Mesh

from jaxaccel._checked import checked


@checked
def make_mesh(
    shape: Mapping[str, int] | None = None, *, devices: Sequence[Any] | None = None
) -> Mesh:
    """Return a mesh with named axes over the devices.

    Devices are ordered for the axes' collectives where the hardware has a topology (a TPU slice).

    Args:
        shape: ``{axis name: number of devices}``; one size may be -1 and takes what is left.
            Default: one axis ``"data"`` over all devices.
        devices: The devices to use; default: all of this program's (``jax.devices()``).

    Returns:
        A ``jax.sharding.Mesh`` whose axes are in ``shape``'s order, for automatic partitioning.

    Raises:
        ValueError: A size is neither positive nor -1, two sizes are -1, or the sizes do not
            multiply to the number of devices.

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
    devices = jax.devices() if devices is None else list(devices)
    sizes = dict(shape or {"data": -1})
    for axis, size in sizes.items():
        if size != -1 and size < 1:
            raise ValueError(f"mesh axis {axis!r} must be positive or -1, got {size}")
    known = math.prod(size for size in sizes.values() if size != -1)
    free = [axis for axis, size in sizes.items() if size == -1]
    if len(free) > 1:
        raise ValueError(f"only one mesh axis may be -1, got {free}")
    if free:
        sizes[free[0]] = len(devices) // known
    if math.prod(sizes.values()) != len(devices):
        raise ValueError(
            f"a mesh of shape {dict(shape or {})} does not fit {len(devices)} devices: the sizes "
            "must multiply to their number; change a size or pass devices="
        )
    return jax.make_mesh(
        tuple(sizes.values()),
        tuple(sizes),
        axis_types=(AxisType.Auto,) * len(sizes),
        devices=devices,
    )
