"""Variables whose first axis counts layers, each of which has an array of its own in PyTorch."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from flax import nnx

from jaxaccel._tree import path_name

LAYERS = "stacked_layers"
"""The metadata in which a variable says how many layers its first axis counts, if it does."""


def of_one_layer(variable: Any, leaf: Any) -> Any:
    """Return what has the form of a parameter in PyTorch, where a variable stacks those of layers.

    Args:
        variable: The variable, or whatever else is in a tree.
        leaf: Its array, or what there is for it.
    """
    is_stack = _is_variable(variable) and LAYERS in variable.get_metadata()
    if not is_stack or not np.shape(leaf):
        return leaf
    return jax.ShapeDtypeStruct(np.shape(leaf)[1:], leaf.dtype)


def check_not_stacked(taker: str, tree: Any) -> None:
    """Raise for parameters of stacked layers, of which each is one of its own in PyTorch."""
    for path, node in jax.tree.leaves_with_path(tree, is_leaf=_is_variable):
        if _is_variable(node) and LAYERS in node.get_metadata():
            raise ValueError(
                f"{taker} computes from all numbers of a parameter together, and {path_name(path)} "
                f"holds those of {node.get_metadata()[LAYERS]} layers; use it with a model whose "
                "layers are not stacked (scan_layers=False)"
            )


def check_kernel_axes(
    module: nnx.Module, name: str, kernel: nnx.Variable[jax.Array], is_stack: bool
) -> None:
    """Raise for a kernel whose first axis counts layers, and would be taken for a spatial one."""
    axes = getattr(module, "kernel_axes", None)
    if axes is None or kernel.ndim - is_stack <= axes:
        return
    raise ValueError(
        f"{name} has shape {kernel.shape}, a kernel of {type(module).__name__} {axes} axes: it is "
        "a stack of layers, as nnx.vmap makes one, for which PyTorch has no names; take the "
        "layers out one by one: graph, state = nnx.split(layers), and nnx.merge(graph, "
        "jax.tree.map(lambda x: x[i], state))"
    )


def _is_variable(node: Any) -> bool:
    """Return whether a node of a tree is one of flax's variables."""
    return isinstance(node, nnx.Variable)
