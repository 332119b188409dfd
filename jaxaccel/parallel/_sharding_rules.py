"""Which dimension of an array is split over which mesh axes: rules, and what follows from them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jax.sharding import AbstractMesh, Mesh, PartitionSpec

from jaxaccel._tree import path_name
from jaxaccel.parallel._mesh import device_count, entry_of

LARGE = 100_000
"""Numbers from which on it is said that an array cannot be split."""


class Rules(NamedTuple):
    """Where the arrays of a state live."""

    mesh: Mesh | AbstractMesh
    axes: tuple[str, ...]
    """The mesh axes that arrays are split over, the outermost first."""
    own: Callable[[str, tuple[int, ...]], Any] | None
    """The user's: ``(path, shape) -> PartitionSpec``, or ``None`` for the default one."""
    threshold: int
    """Arrays of fewer numbers are whole on every device."""

    def __call__(self, path: str, shape: Sequence[int]) -> PartitionSpec:
        """Return the placement of a parameter, or of an array of the optimizer's state.

        By default the longest dimension that the devices divide is split, of equal ones the first,
        whose parts lie together in memory; where they divide none, the array is whole.
        """
        shape = tuple(shape)
        found = None if self.own is None else self.own(path, shape)
        if found is not None:
            check_spec("rules", path, shape, found, self.mesh)
            return found
        devices = device_count(self.mesh, self.axes)
        fitting = [place for place, size in enumerate(shape) if size and size % devices == 0]
        size = math.prod(shape)
        if devices == 1 or not fitting or size < self.threshold:
            if devices > 1 and size >= max(LARGE, self.threshold):
                warnings.warn(
                    f"{path}, of shape {shape}, stays whole on each of {devices} devices, which "
                    "divide none of its dimensions; a multiple of their number would be split",
                    stacklevel=2,
                )
            return PartitionSpec()
        longest = max(fitting, key=lambda place: (shape[place], -place))
        return PartitionSpec(*[None] * longest, entry_of(self.axes))


def check_spec(who: str, name: str, shape: Sequence[int], spec: Any, mesh: Any) -> None:
    """Raise unless a function of the user's returned a placement that an array can have."""
    if not isinstance(spec, PartitionSpec):
        raise TypeError(
            f"{who} must return a jax.sharding.PartitionSpec, got {spec!r} for {name!r}; write "
            "PartitionSpec('data', None), or PartitionSpec() for everywhere"
        )
    if len(spec) > len(shape):
        raise ValueError(
            f"{who} gives {name!r}, of shape {tuple(shape)}, the placement {spec}, which has more "
            f"entries than the array has dimensions; return at most {len(shape)}"
        )
    for size, entry in zip(shape, spec, strict=False):
        names = (entry,) if isinstance(entry, str) else tuple(entry or ())
        unknown = [axis for axis in names if axis not in mesh.shape]
        if unknown:
            raise ValueError(
                f"{who} gives {name!r} the placement {spec}, and the mesh has axes "
                f"{tuple(mesh.shape)}; name one of them instead of {unknown[0]!r}"
            )
        parts = device_count(mesh, names)
        if size % parts:
            raise ValueError(
                f"{who} splits {name!r}, of shape {tuple(shape)}, over {parts} devices, which do "
                f"not divide its dimension of {size}; return a placement that fits"
            )


def placement_of(rules: Rules, fields: Sequence[str]) -> Callable[[Any, Any], PartitionSpec]:
    """Return ``(path, array) -> PartitionSpec`` for a whole training state.

    ``fields`` are those of the state whose arrays are split. A path is as ``jax.tree_util`` has it,
    or written with dots.
    """

    def placement(path: Any, array: Any) -> PartitionSpec:
        field, _, rest = path_name(path).partition(".")
        if field not in fields:
            return PartitionSpec()
        return rules(rest, getattr(array, "shape", ()))

    return placement
