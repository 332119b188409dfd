"""Walks over pytrees of parameters: the one traversal of an optimizer, casts, counters."""

from __future__ import annotations

import functools
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxaccel import _filled
from jaxaccel._math import as_complex, as_real_pairs, compute_dtype

InitT = TypeVar("InitT", bound=Callable[..., Any])

FEW_LEAVES = 6
"""A tree with more leaves than this is counted, not listed, in a repr."""


def is_none(leaf: Any) -> bool:
    """Return whether a leaf is ``None``: a parameter that no gradient reached."""
    return leaf is None


def is_named_tuple(node: Any) -> bool:
    """Return whether a node is a NamedTuple, as states are."""
    return isinstance(node, tuple) and hasattr(node, "_fields")


def holds_hyperparams(node: Any) -> bool:
    """Return whether a node is a NamedTuple with numbers in a field ``hyperparams``.

    It holds those of one group (``optax.inject_hyperparams``), a mapping, or a tuple of such
    mappings, one a parameter group. A field of that name that holds something else, such as the
    configuration of a run, is the user's own.
    """
    if not is_named_tuple(node):
        return False
    held = getattr(node, "hyperparams", None)
    groups = held if type(held) is tuple and held else (held,)
    return all(isinstance(group, Mapping) and _has_only_numbers(group) for group in groups)


def _has_only_numbers(group: Mapping[str, Any]) -> bool:
    """Return whether the values of a mapping are numbers, arrays of them, or tuples of those."""
    leaves = jax.tree.leaves(list(group.values()), is_leaf=lambda node: isinstance(node, Mapping))
    return all(
        jnp.issubdtype(leaf.dtype, jnp.number)
        if hasattr(leaf, "dtype")
        else isinstance(leaf, numbers.Number) and not isinstance(leaf, bool)
        for leaf in leaves
    )


def zeros_like(params: Any) -> Any:
    """Return fresh zeros in the shape, dtype and sharding of each parameter."""
    return jax.tree.map(_filled.zeros_like, params)


def takes_shapes(init: InitT) -> InitT:
    """Let an ``init`` also take shapes (``jax.ShapeDtypeStruct``), of which it makes a state."""

    @functools.wraps(init)
    def initial(params: Any) -> Any:
        leaves = jax.tree.leaves(params)
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
            return jax.eval_shape(init, params)
        return init(params)

    taking: Any = initial
    return taking


def initial_scalar(params: Any, dtype: Any, value: float = 0) -> jax.Array:
    """Return a number of ``dtype`` on the device, or replicated on the mesh, of the parameters.

    A scalar on the default device would move to theirs with the first update, and a jitted step
    would be compiled twice.
    """
    scalar = np.asarray(value, dtype)
    for leaf in jax.tree.leaves(params):
        if isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.committed:
            if isinstance(leaf.sharding, NamedSharding):
                return jax.device_put(scalar, NamedSharding(leaf.sharding.mesh, PartitionSpec()))
            if isinstance(leaf.sharding, SingleDeviceSharding):
                return jax.device_put(scalar, leaf.sharding)
    return _filled.on_device(scalar)


def initial_step(params: Any) -> jax.Array:
    """Return the step counter 0, an int32 beside the parameters."""
    return initial_scalar(params, np.int32)


def next_step(step: jax.Array) -> jax.Array:
    """Return the counter after one more step; it stays at its largest value."""
    return jnp.asarray(optax.safe_increment(step))


def cast_floating(tree: Any, dtype: Any) -> Any:
    """Return the tree with real floating-point leaves cast to ``dtype``; other leaves untouched."""

    def cast(leaf: Any) -> Any:
        is_floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        return jnp.asarray(leaf, dtype) if is_floating else leaf

    return jax.tree.map(cast, tree)


def is_frozen(node: Any) -> bool:
    """Return whether a node of a model's state is a parameter that is not trained."""
    return isinstance(node, nnx.Param)


def map_unfrozen(function: Callable[..., Any], new: Any, old: Any) -> Any:
    """Return a model's new state mapped, its frozen parameters as they stand in the old one."""
    nodes = jax.tree_util.tree_leaves_with_path(old, is_leaf=is_frozen)
    frozen = {path: node for path, node in nodes if is_frozen(node)}

    def one(path: Any, node: Any) -> Any:
        return frozen[path] if path in frozen else jax.tree.map(function, node)

    return jax.tree_util.tree_map_with_path(one, new, is_leaf=is_frozen)


def path_name(path: Any) -> str:
    """Return a leaf's key path as names with dots: ``"layer1.0.weight"``.

    The ``.value`` that nnx hangs below every variable is left out. A name stays.
    """
    if isinstance(path, str):
        return path
    if path and path[-1] == jax.tree_util.GetAttrKey("value"):
        path = path[:-1]
    return jax.tree_util.keystr(tuple(path), simple=True, separator=".")


def unmoved_like(param: Any) -> jax.Array:
    """Return the update that changes no bit of a parameter.

    p + (-0.0) is p for every p; p + 0.0 would turn -0.0 into 0.0.
    """
    return jnp.full_like(param, complex(-0.0, -0.0) if jnp.iscomplexobj(param) else -0.0)


def update_leaves(
    update_leaf: Callable[..., tuple[Any, ...]],
    grads: Any,
    params: Any,
    slots: Sequence[Any],
    **counts: Any,
) -> tuple[Any, ...]:
    """Walk gradients, parameters and state slots together; return the updates and new slots.

    ``update_leaf(param, grad, *slots, **counts)`` returns ``(update, *new_slots)`` for one array.
    It sees real arrays in at least float32: half-precision leaves are cast up, and complex leaves
    come as pairs of reals, as PyTorch treats them. What it returns is rounded once, to the dtype
    that each leaf had. Where the gradient is ``None`` the slots come back untouched, and the
    update is the number that changes no parameter. ``params`` or a slot that is ``None`` as a
    whole is handed down as ``None``. Counts are scalars: one for all leaves, or :class:`Counts`.
    """
    grad_leaves, treedef = jax.tree.flatten(grads, is_leaf=is_none)
    if any(isinstance(leaf, Tracer) for leaf in grad_leaves):
        # Leaves alike in shape and dtype share one trace of the algorithm.
        update_leaf = jax.jit(update_leaf)

    def flatten(tree: Any) -> list[Any]:
        return [None] * len(grad_leaves) if tree is None else treedef.flatten_up_to(tree)

    def numbers(count: Any) -> list[Any]:
        if isinstance(count, Counts):
            return flatten(count.of_leaves)
        return [count] * len(grad_leaves)

    own = {name: numbers(count) for name, count in counts.items()}
    rows = [
        _update_one(update_leaf, grad, param, slots_, {name: own[name][i] for name in own})
        for i, (grad, param, *slots_) in enumerate(
            zip(grad_leaves, flatten(params), *map(flatten, slots), strict=True)
        )
    ]
    columns = list(zip(*rows, strict=True)) or [()] * (1 + len(slots))
    return tuple(
        None if tree is None else treedef.unflatten(column)
        for tree, column in zip([grads, *slots], columns, strict=True)
    )


def _update_one(
    update_leaf: Callable[..., Any], grad: Any, param: Any, slots: list[Any], counts: dict[str, Any]
) -> Any:
    """Apply ``update_leaf`` to one leaf, in its compute dtype and real view."""
    if grad is None:
        return (None if param is None else unmoved_like(param), *slots)
    like = grad if param is None else param
    results = update_leaf(_widen(param), _widen(grad), *map(_widen, slots), **counts)
    targets = [like, *slots]
    return tuple(_narrow(result, target) for result, target in zip(results, targets, strict=True))


def _widen(leaf: Any) -> Any:
    """Return a leaf as the real array, in at least float32, that the arithmetic runs on."""
    if leaf is None:
        return None
    leaf = as_real_pairs(leaf) if jnp.iscomplexobj(leaf) else jnp.asarray(leaf)
    return _cast(leaf, compute_dtype(leaf.dtype))


def _narrow(result: Any, target: Any) -> Any:
    """Return a result in the dtype, real or complex, of the leaf that it replaces."""
    if target is None or result is None:
        return None
    result = as_complex(result) if jnp.iscomplexobj(target) else result
    return _cast(result, jnp.result_type(target))


def _cast(array: jax.Array, dtype: Any) -> jax.Array:
    """Return an array in a dtype; nothing is traced where it has it already."""
    return array if array.dtype == dtype else array.astype(dtype)


def short_repr(self: Any) -> str:
    """Return a NamedTuple of arrays in brief: shapes, dtypes and single numbers.

    For a class body: ``__repr__ = short_repr``. Trees with many leaves are counted, and fields that
    the class lists as ``hidden`` left out.
    """
    hidden = getattr(type(self), "hidden", ())
    shown = [(name, value) for name, value in self._asdict().items() if name not in hidden]
    fields = ", ".join(f"{name}={brief(value)}" for name, value in shown)
    return f"{type(self).__name__}({fields})"


class Counts(NamedTuple):
    """A number of every parameter's own, in a state's field that otherwise holds one for all."""

    of_leaves: Any
    """Scalars, in a tree like the parameters."""
    of_all: jax.Array | None = None
    """The count of the updates themselves, which schedules are read at; None of other numbers."""

    is_elementwise = True
    __repr__ = short_repr


def brief(node: Any) -> str:
    """Return a part of a state in brief, or an array."""
    if is_named_tuple(node):
        return short_repr(node)
    if type(node) in (tuple, list):
        items = ", ".join(map(brief, node))
        return f"[{items}]" if isinstance(node, list) else f"({items}{',' * (len(node) == 1)})"
    found = jax.tree.leaves_with_path(node)
    if found and not found[0][0]:
        return _brief_leaf(node)
    if len(found) > FEW_LEAVES:
        count = sum(math.prod(np.shape(leaf)) for _, leaf in found)
        return f"{{{len(found)} arrays, {count:,} numbers}}"
    if not found and not isinstance(node, dict):
        return repr(node)
    return "{" + ", ".join(f"{path_name(path)}: {_brief_leaf(leaf)}" for path, leaf in found) + "}"


def _brief_leaf(leaf: Any) -> str:
    """Return an array as its dtype and shape, a single number that is at hand as itself."""
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return repr(leaf)
    at_hand = isinstance(leaf, (np.ndarray, np.generic)) or (
        isinstance(leaf, jax.Array)
        and not isinstance(leaf, Tracer)
        and not leaf.is_deleted()
        and leaf.is_fully_addressable
        and not jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    )
    if at_hand and leaf.shape == ():
        return f"{leaf.item():.6g}" if jnp.issubdtype(leaf.dtype, jnp.floating) else f"{leaf}"
    return f"{leaf.dtype}[{', '.join(map(str, leaf.shape))}]"
