"""Gradients other than the one that differentiation would find: of another value, summed wider."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype


@jax.custom_jvp
def with_gradient_of(carrier: jax.Array, value: jax.Array) -> jax.Array:
    """Return ``value`` with the derivative of ``carrier``, in both modes of differentiation."""
    return varying_like(carrier, value)


@with_gradient_of.defjvp
def _jvp(primals: Any, tangents: Any) -> Any:
    """Return the value and the carrier's tangent."""
    # Inside shard_map each may vary over devices that share the other.
    carrier, value = primals
    return varying_like(carrier, value), varying_like(value, tangents[0])


def varying_like(like: jax.Array, array: jax.Array) -> jax.Array:
    """Return an array as each device's own wherever another one is, inside ``shard_map``."""
    return varying_over(jax.typeof(like).manual_axis_type.varying, array)


def varying_over(axes: frozenset[Any], array: jax.Array) -> jax.Array:
    """Return an array as each device's own over some axes of a mesh, inside ``shard_map``."""
    missing = tuple(axes - jax.typeof(array).manual_axis_type.varying)
    return jax.lax.pcast(array, missing, to="varying") if missing else array


def with_float32_sums(parameter: jax.Array, like: jax.Array) -> jax.Array:
    """Return a half-precision parameter, broadcast, whose gradient is summed in float32.

    The transpose of a broadcast sums in the dtype of what is broadcast, and a sum of some hundred
    rows in bfloat16 stands still. So the parameter is broadcast in float32 and then converted,
    which gives the same numbers, and compiles to the same program forward.

    Args:
        parameter: What ``like``'s rows share, with as many axes as it. In float32 or wider it comes
            back as it is: the addition broadcasts it.
        like: What the parameter will be added to, or joined with.
    """
    wide = compute_dtype(parameter.dtype)
    if parameter.dtype == wide:
        return parameter
    # Inside shard_map, devices sum what is small and in float32, and not what was broadcast.
    own = varying_like(like, parameter.astype(wide))
    return jnp.broadcast_to(own, like.shape).astype(parameter.dtype)
