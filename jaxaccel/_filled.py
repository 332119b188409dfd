"""New arrays that no program is compiled for.

Outside of ``jit`` JAX compiles a program for every shape that it fills or copies, and a model has
dozens of shapes. Arrays filled on the host and put on the device, and copies that the runtime makes
by itself, need none.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._tracing import is_tracing

MOST_ON_HOST = 1 << 22
"""Elements of the largest array that is filled on the host. There are few shapes beyond, and those
arrays are better made where they live."""


def on_device(array: Any) -> jax.Array:
    """Return ``jnp.asarray(array)`` of a NumPy array, which may share its memory."""
    in_mesh = not jax.sharding.get_abstract_mesh().empty
    return jnp.asarray(array) if in_mesh or is_tracing() else jax.device_put(array)


def fills_on_host(shape: tuple[int, ...]) -> bool:
    """Return whether a new array comes from the host.

    While JAX is tracing it would be a constant of the program, and where a mesh is set JAX itself
    says where on it a new array lives.
    """
    in_mesh = not jax.sharding.get_abstract_mesh().empty
    return math.prod(shape) <= MOST_ON_HOST and not in_mesh and not is_tracing()


def filled(shape: tuple[int, ...], value: Any, dtype: Any) -> jax.Array:
    """Return ``jnp.full(shape, value, dtype)``."""
    if isinstance(value, jax.Array) or dtype is None or not fills_on_host(shape):
        return jnp.full(shape, value, dtype)
    with np.errstate(all="ignore"):  # what the dtype cannot hold is infinite
        # Converted as JAX converts: NumPy refuses an integer that the dtype cannot hold.
        number = np.asarray(value).astype(jax.dtypes.canonicalize_dtype(dtype))
        return jax.device_put(np.full(shape, number))


def zeros_like(leaf: Any) -> jax.Array:
    """Return ``jnp.zeros_like(leaf)``, in the leaf's sharding; never weakly typed."""
    dtype = jnp.result_type(leaf)
    is_array = isinstance(leaf, (jax.Array, np.ndarray)) and not isinstance(leaf, Tracer)
    if not is_array or not fills_on_host(leaf.shape):
        return jnp.zeros_like(leaf, dtype=dtype)
    if not isinstance(leaf, jax.Array) or not leaf.committed:
        return filled(leaf.shape, 0, dtype)
    part = leaf.sharding.shard_shape(leaf.shape)
    return jax.make_array_from_callback(
        leaf.shape, leaf.sharding, lambda _: np.zeros(part, dtype), dtype=dtype
    )


def copied(leaf: Any) -> jax.Array:
    """Return ``jnp.copy(leaf)``, in the leaf's sharding and on its device.

    A NumPy array is copied at once. The runtime copies a JAX array in its own time: one that shares
    its memory with NumPy's must not change until then.
    """
    if isinstance(leaf, np.ndarray):
        return on_device(np.array(leaf))
    is_array = isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer)
    in_mesh = not jax.sharding.get_abstract_mesh().empty
    is_key = is_array and jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    if not is_array or is_key or in_mesh or is_tracing():
        return jnp.copy(leaf)
    return jax.device_put(leaf, leaf.sharding if leaf.committed else None, may_alias=False)
