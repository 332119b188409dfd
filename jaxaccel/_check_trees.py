"""Trees that fit: arrays, a state of one's own, gradients like the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._arrays import is_array
from jaxaccel._donated import check_not_donated
from jaxaccel._tree import is_none, path_name

MASKED = "a masked array is not one to JAX: pass array.filled(value)"
"""What to do about one of NumPy's masked arrays."""

MOST_NAMED = 5
"""Paths that an error lists."""


def check_arrays(name: str, tree: Any) -> None:
    """Raise for a leaf of a tree that JAX cannot compute with: a tensor, a text, donated."""
    if isinstance(tree, Iterator):
        raise TypeError(
            f"{name} must be made of arrays, got an iterator, {tree!r:.60}; take what it holds: "
            f"next({name}), or tuple({name})"
        )
    if all(map(is_array, jax.tree.leaves(tree))):
        check_not_donated(**{name: tree})
        return
    for path, leaf in jax.tree.leaves_with_path(tree):
        if not is_array(leaf):
            kind = f"{type(leaf).__module__}.{type(leaf).__name__}"
            remedy = "pass tensor.numpy()" if kind == "torch.Tensor" else "pass arrays or numbers"
            remedy = MASKED if isinstance(leaf, np.ma.MaskedArray) else remedy
            found = f"an array of {leaf.dtype}" if isinstance(leaf, np.ndarray) else f"a {kind}"
            where = name + jax.tree_util.keystr(path)
            raise TypeError(f"{where} is {found}, {leaf!r:.60}; {remedy}")


def check_loss_scale(loss_scale: Any) -> None:
    """Raise for what a loss cannot be multiplied with: all but one real number."""
    if loss_scale is None:
        return
    if not is_array(loss_scale) or jnp.shape(loss_scale) or jnp.iscomplexobj(loss_scale):
        raise TypeError(
            f"loss_scale must be one real number, got {loss_scale!r:.80}; leave it out for 1"
        )


def check_parameters(params: Any) -> None:
    """Raise for a parameter that has no gradient: an integer, a bool, a random key."""
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(_dtype(path, leaf), jnp.inexact):
            raise TypeError(
                "Only Tensors of floating point and complex dtype can require gradients\n"
                f"Parameter {path_name(path)!r} has dtype {_dtype(path, leaf)}; keep it in "
                "model_state, or leave it out with optax.masked"
            )
    check_not_donated(params=params)


def check_state(reader: str, kind: type, state: Any) -> None:
    """Raise unless a state is of the class that a transformation's ``init`` returns."""
    if not isinstance(state, kind):
        found = type(state).__name__
        raise TypeError(
            f"{reader} needs a {kind.__name__}, got a state of another kind: {found}; pass what "
            f"the init or the last update of this same {reader} returned"
        )


def check_in_use(reader: str, state: Any, **in_use: bool) -> None:
    """Raise for the state of a call with other arguments: it has a field less, or one more."""
    for name, wanted in in_use.items():
        if (getattr(state, name) is not None) != wanted:
            has = "lacks" if wanted else "has"
            raise ValueError(
                f"{reader} was made with other arguments than its state, which {has} {name}; call "
                f"init of this {reader}, or make it with the arguments that the state was made with"
            )


def check_update(
    reader: str, kind: Any, updates: Any, state: Any, params: Any, *, slots_alike: bool = True
) -> None:
    """Raise unless an optimizer's state, gradients and parameters belong together.

    ``slots_alike``: all fields of the state but its counts are trees like the parameters.
    """
    check_state(reader, kind, state)
    check_not_donated(gradients=updates, state=state, params=params)
    others = ("step", *kind.own_counts)
    slots = [getattr(state, name) for name in kind._fields if name not in others]
    trees = [tree for tree in (params, *(slots if slots_alike else ())) if tree is not None]
    if trees:
        check_gradients(reader, updates, trees[0])
    for slot in trees[1:]:
        check_slot(reader, slot, trees[0])


def check_gradients(reader: str, updates: Any, params: Any, *, dense: bool = True) -> None:
    """Raise unless there is a gradient, or ``None``, of each parameter's shape and kind.

    ``dense``: it is an array, and not rows of one.
    """
    paths, leaves, grads = _side_by_side(reader, "gradients", updates, params)
    for path, leaf, grad in zip(paths, leaves, grads, strict=True):
        if grad is None or not dense:
            continue
        if leaf is None:
            raise ValueError(f"{reader}: there is a gradient of {path_name(path)!r}, but no array")
        if _is_node(grad):
            raise TypeError(
                f"{reader} takes an array as the gradient of {path_name(path)!r}, got "
                f"{type(grad).__name__}"
            )
        _check_leaf(reader, path, grad, leaf)


def check_slot(reader: str, slot: Any, params: Any) -> None:
    """Raise unless a tree of the state has the parameters' structure and shapes."""
    paths, leaves, found = _side_by_side(reader, "state", slot, params)
    for path, leaf, own in zip(paths, leaves, found, strict=True):
        if leaf is not None and own is not None and _shape(own) != _shape(leaf):
            raise ValueError(
                f"{reader}: the state of {path_name(path)!r} has shape {_shape(own)}, the "
                f"parameter {_shape(leaf)}; it is the state of other parameters: call init again"
            )


def _check_leaf(reader: str, path: Any, grad: Any, leaf: Any) -> None:
    """Raise unless a gradient has its parameter's shape, and is complex or real as it is."""
    if _shape(grad) != _shape(leaf):
        raise ValueError(
            f"attempting to assign a gradient of size '{list(_shape(grad))}' to a tensor of size "
            f"'{list(_shape(leaf))}'. Please ensure that the gradient and the tensor are the same "
            f"size\n{reader}: the gradient of {path_name(path)!r} has shape {_shape(grad)}, the "
            f"parameter {_shape(leaf)}"
        )
    found, own = _dtype(path, grad), _dtype(path, leaf)
    if _kind(found) is not _kind(own):
        raise TypeError(
            f"attempting to assign a gradient with dtype '{found}' to a tensor with grad_dtype "
            f"'{own}'\n{reader}: the gradient of {path_name(path)!r} is {found}, the parameter "
            f"{own}; both must be real floating-point numbers, or both complex"
        )


def _side_by_side(reader: str, what: str, tree: Any, params: Any) -> tuple[Any, Any, Any]:
    """Return paths, parameters and the tree's part for each, or raise where they do not fit."""
    pairs, treedef = jax.tree.flatten_with_path(params, is_leaf=is_none)
    try:
        parts = treedef.flatten_up_to(tree)
    except ValueError as error:
        raise ValueError(
            f"{reader}: the {what} and the parameters are different trees: "
            f"{_difference(tree, params) or error}; they must have the same structure"
        ) from None
    return [path for path, _ in pairs], [leaf for _, leaf in pairs], parts


def _difference(tree: Any, params: Any) -> str:
    """Return which paths only one of two trees has; nothing where the paths are the same."""
    found, own = (
        [path_name(path) for path, _ in jax.tree.leaves_with_path(each, is_leaf=is_none)]
        for each in (tree, params)
    )
    missing = [path for path in own if path not in found]
    unknown = [path for path in found if path not in own]
    parts = [
        f"{text} {', '.join(map(repr, paths[:MOST_NAMED]))}"
        + (f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else "")
        for text, paths in (("they lack", missing), ("no parameter is named", unknown))
        if paths
    ]
    return "; ".join(parts) or _unlike(tree, params)


def _unlike(tree: Any, params: Any) -> str:
    """Return where two trees with the same paths are of different nodes: a class, its metadata."""
    own, found = (jax.tree.structure(each, is_leaf=is_none) for each in (params, tree))
    path = [each for each, _ in jax.tree.leaves_with_path(params, is_leaf=is_none)]
    depth = 0
    while own.node_data() == found.node_data():
        pairs = zip(own.children(), found.children(), strict=True)
        for own, found in pairs:
            if own != found:
                break
            path = path[own.num_leaves :]
        else:
            return ""
        depth += 1
    where = repr(path_name(path[0][:depth])) if path and depth else "the whole"
    (cls, of_own), (other, of_found) = (each.node_data() or (None, ()) for each in (own, found))
    if cls is not other:
        names = [getattr(each, "__name__", "an array") for each in (other, cls)]
        return f"{where} is {names[0]}, for the parameters {names[1]}"
    try:
        of_own, of_found = dict(of_own), dict(of_found)
    except (TypeError, ValueError):
        return f"{where} is another {getattr(cls, '__name__', 'node')}"

    def said(known: Any, key: str) -> str:
        return f"{key}={known[key]!r:.60}" if key in known else f"no {key}"

    differ = [
        f"{said(of_found, key)}, for the parameters {said(of_own, key)}"
        for key in sorted({*of_own, *of_found}, key=repr)
        if said(of_own, key) != said(of_found, key)
    ]
    return f"the metadata of {where} differ: {'; '.join(differ)}"


def _is_node(leaf: Any) -> bool:
    """Return whether something is a tree of arrays and not one."""
    return not jax.tree_util.all_leaves([leaf])


def _shape(leaf: Any) -> tuple[int, ...]:
    """Return the shape of an array or a number."""
    return tuple(leaf.shape) if hasattr(leaf, "shape") else np.shape(leaf)


def _dtype(path: Any, leaf: Any) -> Any:
    """Return the dtype of an array or a number."""
    try:
        return jnp.result_type(leaf)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{path_name(path)!r} must be an array or a number, got {type(leaf).__name__}"
        ) from error


def _kind(dtype: Any) -> Any:
    """Return whether a dtype is complex, real floating-point or neither."""
    kinds = (jnp.complexfloating, jnp.floating)
    return next((kind for kind in kinds if jnp.issubdtype(dtype, kind)), None)
