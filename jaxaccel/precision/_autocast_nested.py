"""What a region's program says of itself: inner regions, and casts that Python could not see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import jax
import jax.numpy as jnp

from jaxaccel._operations import compiled_as
from jaxaccel.precision._autocast_region import Region

_REGION: Final = "jaxaccel region: "
_CAST: Final = "jaxaccel to: "


def in_inner_region(region: Region, call: Callable[..., Any], arrays: list[Any]) -> Any:
    """Call a function so that the region around it finds an inner one."""
    state = "on" if region.enabled else "off"
    said = region.device_type, region.dtype, state, region.product or "-"
    return compiled_as(_REGION + " ".join(map(str, said)), call)(*arrays)


def inner_region_of(equation: Any) -> Region | None:
    """Return the inner region that an equation is, or None for another one."""
    name = equation.params["name"]
    if not name.startswith(_REGION):
        return None
    device_type, dtype, state, product = name.removeprefix(_REGION).split()
    in_float8 = None if product == "-" else jnp.dtype(product)
    return Region(device_type, jnp.dtype(dtype), state == "on", in_float8)


def with_visible_cast(array: Any, dtype: Any) -> jax.Array:
    """Cast so that the region around it sees it, even where the dtype is the traced one."""
    return compiled_as(f"{_CAST}{jnp.dtype(dtype)}", lambda x: x.astype(dtype))(array)


def visible_cast_of(equation: Any) -> list[Any] | None:
    """Return the dtypes that an equation casts to visibly, or None for another one.

    One for each result; None for one that stays as it is: what was differentiated inside the region
    has tangents beside the array, or is a cotangent on its way back.
    """
    name = equation.params["name"]
    if not name.startswith(_CAST):
        return None
    dtype = jnp.dtype(name.removeprefix(_CAST))
    return [dtype if v.aval.dtype == dtype else None for v in equation.outvars]
