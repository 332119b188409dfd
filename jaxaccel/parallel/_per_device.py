"""What one device does in data parallelism, on its own rows: its gradients, and the mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._keys import is_key, is_raw_key
from jaxaccel._math import as_complex, as_real_pairs
from jaxaccel._rows import as_weight, scaled_by, seeds_of, share_of_gradient, share_of_metric
from jaxaccel._tree import map_unfrozen, path_name
from jaxaccel._types import GradientFunction, Gradients, Params

Own: TypeAlias = Callable[..., Gradients]
"""``(params, model_state, batch, scale, key) -> Gradients`` of a device's own rows, positional."""


def per_device(
    gradient_fn: GradientFunction,
    axes: tuple[str, ...],
    weight: Callable[[Any], Any] | None,
    averaged: Callable[[Own], Own] | None = None,
) -> Own:
    """Return the gradient function for one device's rows, to be mapped over ``axes``.

    ``averaged`` makes the gradients' mean over devices of their own; default: a mean of each.
    """
    average = averaged or (lambda own: _averaged(own, axes))

    def local(params: Params, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
        index = jax.lax.axis_index(axes)
        seed = None if weight is None else _seed(weight(batch), axes)
        # A factor that differs from device to device even where it is 1: through it the gradients
        # of a loss that the devices share come back summed, to be averaged as all others are.
        factor = _varying(jnp.ones(()), axes) if seed is None else seed

        def own(params: Params, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
            found = gradient_fn(params, model_state, batch, loss_scale=scale, key=key)
            grads = jax.tree.map(lambda g: share_of_gradient(g, seed), found.grads)
            return found._replace(grads=grads)

        found = average(own)(
            jax.tree.map(lambda x: _varying(x, axes), params),
            jax.tree.map(lambda x: _own_key(_varying(x, axes), index), model_state),
            batch,
            scaled_by(factor, scale),
            None if key is None else _own_key(_varying(key, axes), index),
        )
        return Gradients(
            found.grads,
            map_unfrozen(lambda x: _shared(x, index, axes), found.model_state, model_state),
            {name: mean_over(share_of_metric(m, seed), axes) for name, m in found.metrics.items()},
        )

    return local


def _averaged(own: Own, axes: tuple[str, ...]) -> Own:
    """Return the function with the mean of each gradient over devices."""

    def averaged(*arguments: Any) -> Gradients:
        found = own(*arguments)
        return found._replace(grads=jax.tree.map(lambda g: mean_over(g, axes), found.grads))

    return averaged


def check_keys(model_state: Any) -> None:
    """Raise for a raw key among the numbers of a state: all devices would draw alike.

    It is taken for one by its dtype and shape, where no variable of flax says what it is.
    """
    nodes = jax.tree.leaves_with_path(model_state, is_leaf=_is_variable)
    for path, node in nodes:
        for below, leaf in jax.tree.leaves_with_path(node):
            if not isinstance(node, nnx.RngCount) and _has_words_of_key(leaf):
                raise TypeError(
                    f"model_state at {path_name((*path, *below))!r}, uint32 of shape "
                    f"{jnp.shape(leaf)}, is a raw key, which cannot be told from numbers, so that "
                    "all devices would draw the same; make it a typed one: jax.random.key(seed), "
                    "or jax.random.wrap_key_data(key), as nnx.Rngs does (and give numbers that "
                    "are not a key another dtype)"
                )


def _is_variable(node: Any) -> bool:
    """Return whether a node of a state is one of flax's variables."""
    return isinstance(node, nnx.Variable)


def _has_words_of_key(leaf: Any) -> bool:
    """Return whether a leaf has the dtype and shape of raw keys."""
    return is_raw_key(leaf) and leaf.shape[-1:] == jax.eval_shape(jax.random.PRNGKey, 0).shape


def _seed(weight: Any, axes: tuple[str, ...]) -> jax.Array:
    """Return this device's factor on its loss."""
    weight = as_weight(weight)
    return _varying(seeds_of(weight, jax.lax.psum(weight, axes), jax.lax.axis_size(axes)), axes)


def _varying(leaf: Any, axes: tuple[str, ...]) -> jax.Array:
    """Return an array as each device's own.

    Gradients of a value that all devices share are summed over them by differentiation itself;
    gradients of a device's own copy stay its own, to be averaged.
    """
    missing = tuple(a for a in axes if a not in jax.typeof(leaf).manual_axis_type.varying)
    return jax.lax.pcast(leaf, missing, to="varying") if missing else jnp.asarray(leaf)


def _own_key(leaf: jax.Array, index: jax.Array) -> jax.Array:
    """Return a random key as this device's: the first keeps it, others fold in their number.

    The numbers are far from those of counters, which a model may fold into the same key.
    """
    if not is_key(leaf):
        return leaf
    far = jnp.uint32(2**31) + index.astype(jnp.uint32)
    folded = jax.vmap(jax.random.fold_in, in_axes=(0, None))(leaf.reshape(-1), far)
    return jnp.where(index == 0, leaf, folded.reshape(leaf.shape))


def mean_over(leaf: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """Return the mean over devices; XLA aborts on sums of complex constants, but not of pairs."""
    if jnp.iscomplexobj(leaf):
        return as_complex(jax.lax.pmean(as_real_pairs(leaf), axes))
    if leaf.dtype == jnp.float16:  # a sum might overflow where no share of a mean does
        return jax.lax.psum(leaf / jax.lax.axis_size(axes), axes)
    return jax.lax.pmean(leaf, axes)


def _shared(leaf: Any, index: jax.Array, axes: tuple[str, ...]) -> jax.Array:
    """Return a leaf of the new state for all: floats averaged, the rest the first device's."""
    leaf = jnp.asarray(leaf)
    if is_key(leaf):
        data = _shared(jax.random.key_data(leaf), index, axes)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return mean_over(leaf, axes)
    if leaf.dtype == bool:
        return _shared(leaf.astype(jnp.int32), index, axes).astype(bool)
    return jax.lax.psum(jnp.where(index == 0, leaf, jnp.zeros_like(leaf)), axes)
