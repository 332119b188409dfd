"""Walks over pytrees of parameters; the mirror of ``jaxaccel._tree``."""

import torch
from torch.utils import _pytree as pytree

from torch_ref._math import as_complex, as_real_pairs, compute_dtype


def is_none(leaf):
    """Return whether a leaf is ``None``: a parameter that no gradient reached."""
    return leaf is None


def zeros_like(params):
    """Return fresh zeros in the shape and dtype of each parameter."""
    return pytree.tree_map(lambda p: None if p is None else torch.zeros_like(p), params)


def initial_step(params):
    """Return the step counter 0, a Python int here."""
    del params
    return 0


def path_name(path):
    """Return a leaf's key path as names with dots: ``"layer1.0.weight"``."""
    return ".".join(str(getattr(entry, "key", getattr(entry, "idx", entry))) for entry in path)


def unmoved_like(param):
    """Return the update that changes no bit of a parameter."""
    return torch.full_like(param, complex(-0.0, -0.0) if param.is_complex() else -0.0)


def update_leaves(update_leaf, grads, params, slots):
    """Walk gradients, parameters and state slots together; return the updates and new slots."""
    grad_leaves, treedef = pytree.tree_flatten(grads)

    def flatten(tree):
        return [None] * len(grad_leaves) if tree is None else treedef.flatten_up_to(tree)

    rows = [
        _update_one(update_leaf, grad, param, slot_leaves)
        for grad, param, *slot_leaves in zip(
            grad_leaves, flatten(params), *map(flatten, slots), strict=True
        )
    ]
    columns = list(zip(*rows, strict=True)) or [()] * (1 + len(slots))
    return tuple(
        None if tree is None else pytree.tree_unflatten(column, treedef)
        for tree, column in zip([grads, *slots], columns, strict=True)
    )


def _update_one(update_leaf, grad, param, slots):
    """Apply ``update_leaf`` to one leaf, in its compute dtype and real view."""
    if grad is None:
        return (None if param is None else unmoved_like(param), *slots)
    like = grad if param is None else param
    results = update_leaf(_widen(param), _widen(grad), *map(_widen, slots))
    targets = [like, *slots]
    return tuple(_narrow(result, target) for result, target in zip(results, targets, strict=True))


def _widen(leaf):
    """Return a leaf as the real tensor, in at least float32, that the arithmetic runs on."""
    if leaf is None:
        return None
    leaf = as_real_pairs(leaf) if leaf.is_complex() else leaf
    return leaf.to(compute_dtype(leaf.dtype))


def _narrow(result, target):
    """Return a result in the dtype, real or complex, of the leaf that it replaces."""
    if target is None or result is None:
        return None
    result = as_complex(result) if target.is_complex() else result
    return result.to(target.dtype)
