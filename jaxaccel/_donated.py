"""Arrays whose memory a compiled program was given: nothing can be read from them any more."""

from __future__ import annotations

from typing import Any

import jax
from jax.core import Tracer

from jaxaccel._tree import path_name


def is_donated(leaf: Any) -> bool:
    """Return whether an array's buffer is gone."""
    return isinstance(leaf, jax.Array) and not isinstance(leaf, Tracer) and leaf.is_deleted()


def check_not_donated(**trees: Any) -> None:
    """Raise where a leaf of a tree was donated, in words of the one who donated it.

    JAX itself says only that an array has been deleted, in the middle of a computation.
    """
    if not any(map(is_donated, jax.tree.leaves(trees))):
        return
    for name, tree in trees.items():
        for path, leaf in jax.tree.leaves_with_path(tree):
            if is_donated(leaf):
                where = f"{name} at {path_name(path)!r}" if path_name(path) else name
                raise ValueError(
                    f"{where}, {leaf.dtype} of shape {leaf.shape}, was donated to an earlier step "
                    "or program, which has overwritten it; go on with the state that the step "
                    "returned, or make it with train_step(..., donate=False)"
                )
