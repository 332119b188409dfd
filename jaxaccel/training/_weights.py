"""The weights of a state: what a model is saved and restored by, its buffers among it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._filled import copied
from jaxaccel._keys import is_key
from jaxaccel.training._train_state import TrainState


def weights_of(state: Any) -> Any:
    """Return parameters and buffers: of every ``TrainState`` in a state, and what is beside it."""
    return jax.tree.map(_weights, state, is_leaf=_is_train_state)


def with_weights(state: Any, weights: Any) -> Any:
    """Return a state with other weights."""
    states, treedef = jax.tree.flatten(state, is_leaf=_is_train_state)
    others = treedef.flatten_up_to(weights)
    pairs = zip(states, others, strict=True)
    return treedef.unflatten(
        old._replace(params=new[0], model_state=new[1]) if _is_train_state(old) else new
        for old, new in pairs
    )


def kept(weights: Any, on_device: bool) -> Any:
    """Return a copy that later steps do not overwrite, by default in the hosts' memory.

    Sharded arrays stay sharded, each part on the host of its device. Nothing waits for the copy.
    """
    return jax.tree.map(copied if on_device else _on_host, weights)


def put_back(weights: Any, like: Any) -> Any:
    """Return a copy of what was kept where a state's weights are."""
    return jax.tree.map(_placed_like, weights, like)


def are_finite(weights: Any) -> bool:
    """Return whether all numbers are finite; waits for them."""
    leaves = [leaf for leaf in jax.tree.leaves(weights) if _is_inexact(leaf)]
    on_host = [leaf for leaf in leaves if not isinstance(leaf, jax.Array)]  # in 64 bits, perhaps
    on_device = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
    return all(np.isfinite(leaf).all() for leaf in on_host) and bool(_are_finite(on_device))


@jax.jit
def _are_finite(leaves: list[Any]) -> jax.Array:
    """Return whether all numbers of some arrays are finite."""
    parts = (jnp.all(jnp.isfinite(leaf)) for leaf in leaves)
    return functools.reduce(jnp.logical_and, parts, jnp.asarray(True))


def _is_inexact(leaf: Any) -> bool:
    """Return whether a leaf may hold what is not finite."""
    if not hasattr(leaf, "dtype"):
        return isinstance(leaf, (float, complex))
    return jnp.issubdtype(leaf.dtype, jnp.inexact)


def _is_train_state(value: Any) -> bool:
    """Return whether a node of a state is a training state."""
    return isinstance(value, TrainState)


def _weights(node: Any) -> Any:
    """Return a training state's weights; of another node itself."""
    return (node.params, node.model_state) if _is_train_state(node) else node


def _on_host(leaf: Any) -> Any:
    """Return a copy in pinned memory of the host."""
    if not isinstance(leaf, jax.Array):
        return copied(leaf)
    return jax.device_put(leaf, leaf.sharding.with_memory_kind("pinned_host"))


def _placed_like(leaf: Any, like: Any) -> Any:
    """Return a leaf, copied, in the place of another."""
    if not isinstance(like, jax.Array):
        return copied(leaf)
    if not like.committed and not is_key(leaf):  # JAX may put it where it likes
        return jax.device_put(np.array(leaf))
    found = jax.device_put(leaf, like.sharding)
    return copied(found) if found is leaf else found
