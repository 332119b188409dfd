"""Small parameters in a few long arrays: a step's cost is then that of the numbers."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import NamedSharding, SingleDeviceSharding

from jaxaccel import _packed
from jaxaccel._check_trees import check_arrays, check_parameters
from jaxaccel._checked import checked
from jaxaccel._checks import check_positive_integer
from jaxaccel._filled import copied
from jaxaccel._packed import Layout, Packed, has_packed, packed_by
from jaxaccel._selectors import path_test, paths_of, selected
from jaxaccel._tree import is_none
from jaxaccel._types import Count, Params


@checked
def packed(params: Params, *, below: Count = 16384, groups: Sequence[Any] = ()) -> Packed:
    """Put the small leaves of a tree into a few long arrays, one after the other.

    An optimizer's step on a thousand small arrays is a thousand small programs; on one array that
    holds their numbers it is one. Packed parameters are handed to :func:`train_state` as they are:
    gradients, averages and the optimizer's state are then packed too, and a loss function,
    a metric function and a model see the tree that they know. All operations, their order and so
    the numbers are those of a run that is not packed, bit for bit; but where a compiler fuses the
    end of the backward pass with the update (a product with a sum, a rounding to half precision
    that it skips), it cannot across a buffer, and the last bit is another one.

    Args:
        params: The parameters.
        below: Leaves of fewer numbers are packed; larger ones, sharded ones, and those that have no
            other of their kind, stay by themselves. Inside ``jit``, on a mesh whose axes are
            automatic, no array says whether it is sharded, and those that are would be gathered:
            pack before the compiled step.
        groups: What is treated apart, and so is in buffers of its own: the ``groups`` of
            ``optimizers.param_groups``, or what ``training.gradients`` has as ``trainable``
            (a regular expression, a predicate or a mask each).

    Returns:
        A :class:`Packed`. ``optimizers.state_dict``, ``training.merge`` and the like take it
        as they take the tree, which :func:`unpacked` returns.

    Raises:
        TypeError: A parameter is not an array of floating-point or complex numbers, ``params`` is
            packed already, or a group is neither pattern, predicate, mask nor mapping with
            ``"params"``.
        ValueError: ``below`` is less than 1; or a buffer holds leaves of which a transformation or
            ``trainable`` says different things, when it is given them.

    PyTorch:
        ``foreach=True`` and ``fused=True`` of ``torch.optim`` treat many tensors in one call; here
        they are one array. What needs the shape of a parameter (Muon, Adafactor,
        ``centralize_gradients``, LBFGS, SparseAdam) refuses packed ones by name, and so does
        :func:`train_state` for what does not say that it treats every number by itself.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> params = {"bias": jnp.ones(2), "kernel": jnp.zeros((3, 2)), "scale": jnp.ones(2)}
        >>> packed = ja.training.packed(params)
        >>> print(packed.buffers[0])
        [1. 1. 1. 1. 0. 0. 0. 0. 0. 0.]
        >>> print(ja.training.unpacked(packed)["kernel"].shape)
        (3, 2)
    """
    check_arrays("params", params)
    check_parameters(params)
    below = check_positive_integer("below", below)
    if has_packed(params):
        raise TypeError("params are packed already; unpack them first: training.unpacked(params)")
    # What is not JAX's array yet: a number, or an array of NumPy's that its owner may change.
    params = jax.tree.map(
        lambda leaf: leaf if isinstance(leaf, jax.Array) else copied(leaf), params
    )
    selectors = [_selector(index, group) for index, group in enumerate(groups)]
    leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
    chosen = [selected(f"groups[{i}]", each, params) for i, each in enumerate(selectors)]
    kinds: dict[Any, list[int]] = {}
    for index, (leaf, *owns) in enumerate(zip(leaves, *chosen, strict=True)):
        if leaf is not None and math.prod(np.shape(leaf)) < below and _is_whole(leaf):
            kind = (jnp.result_type(leaf), _place(leaf), tuple(owns))
            kinds.setdefault(kind, []).append(index)
    shapes = [None if leaf is None else tuple(np.shape(leaf)) for leaf in leaves]
    layout = Layout(
        treedef=treedef,
        paths=tuple(paths_of(params)),
        shapes=tuple(shapes),
        dtypes=tuple(None if leaf is None else jnp.result_type(leaf) for leaf in leaves),
        members=tuple(
            tuple(sorted(members, key=lambda index: shapes[index] or ()))
            for members in kinds.values()
            if len(members) > 1
        ),
    )
    return packed_by(_the_same(layout), params)


@checked
def unpacked(tree: Any) -> Any:
    """Return a tree with the parameters' own leaves in the place of every packed tree in it.

    Args:
        tree: Packed parameters, gradients, an average, an optimizer's state or a whole
            :class:`TrainState`; a tree without packed ones is returned as it is.

    Returns:
        What a run that is not packed has there: the same leaves, in the same structure.

    PyTorch:
        There is nothing to unpack: a fused step works on the tensors in their places.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> packed = ja.training.packed({"scale": jnp.ones(2), "bias": jnp.zeros(2)})
        >>> state = ja.optimizers.adam().init(packed)
        >>> print(ja.training.unpacked(state).exp_avg["bias"])
        [0. 0.]
    """
    return _packed.unpacked(tree)


@checked
def packed_as(tree: Any, like: Any) -> Any:
    """Return a tree packed as another one is: the way back from :func:`unpacked`.

    Args:
        tree: What :func:`unpacked` returned, perhaps saved and restored since.
        like: A packed tree of the same kind, such as the :class:`TrainState` that
            ``train_state(packed(params), tx)`` returns, or its shapes.

    Returns:
        The tree, packed wherever ``like`` is.

    Raises:
        ValueError: The trees have different structures, a leaf has another shape or dtype than the
            one in its place, or leaves of one buffer differ in a count that is one for all of it.

    PyTorch:
        There is nothing to pack.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> params = {"scale": jnp.ones(2), "bias": jnp.zeros(2)}
        >>> packed = ja.training.packed(params)
        >>> doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
        >>> print(ja.training.packed_as(doubled, packed).buffers[0])
        [0. 0. 2. 2.]
    """
    return _packed.packed_as(tree, like)


@functools.lru_cache(maxsize=64)
def _the_same(layout: Layout) -> Layout:
    """Return one object for equal layouts: every call of a compiled step compares them."""
    return layout


def _selector(index: int, group: Any) -> Any:
    """Return what says which parameters a group has."""
    selector = group["params"] if isinstance(group, Mapping) and "params" in group else group
    path_test(f"groups[{index}]", selector)
    return selector


def _is_whole(leaf: Any) -> bool:
    """Return whether a leaf is not divided among devices."""
    if isinstance(leaf, Tracer):  # which knows its sharding on meshes with explicit axes alone
        return all(axis is None for axis in jax.typeof(leaf).sharding.spec)
    if not isinstance(leaf, jax.Array):
        return True
    return leaf.is_fully_replicated or isinstance(leaf.sharding, SingleDeviceSharding)


def _place(leaf: Any) -> Any:
    """Return where a leaf is: its mesh and kind of memory, or its device."""
    sharding = None if isinstance(leaf, Tracer) else getattr(leaf, "sharding", None)
    if isinstance(sharding, NamedSharding):
        return sharding.mesh, sharding.memory_kind
    return sharding
