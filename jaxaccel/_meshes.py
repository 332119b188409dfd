"""Devices: a mesh over them, in the order that suits their wires, and whether they are here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh


def mesh_over(sizes: Mapping[str, int], devices: Sequence[Any] | None) -> Mesh:
    """Return a mesh of automatic axes: a slice's in the order of its torus, slice after slice."""
    if devices is not None and len({getattr(each, "slice_index", 0) for each in devices}) > 1:
        # jax.make_mesh knows one torus; between slices there is none.
        return Mesh(np.array(devices).reshape([*sizes.values()]), tuple(sizes))
    kinds = (AxisType.Auto,) * len(sizes)
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), kinds, devices=devices)


def is_here(device: Any) -> bool:
    """Return whether a device is one of this program's."""
    if device in jax.devices():
        return True
    try:
        return device in jax.devices(device.platform)
    except RuntimeError:  # no device of this kind
        return False
