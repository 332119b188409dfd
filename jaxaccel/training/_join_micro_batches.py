"""Batches of a loader, joined for accumulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked
from jaxaccel._rows import count_rows, row_axes


@checked
def join_micro_batches(batches: Sequence[Any], batch_axes: Any = 0) -> Any:
    """Join a loader's batches into one whose accumulated parts are exactly those batches.

    :func:`accumulate` takes rows a, a + A, a + 2A, ... for part a: the rows are interleaved here,
    so that ``accumulate(gradient_fn, A)`` sees the A batches one after the other.

    Args:
        batches: A batches of the same form and number of rows.
        batch_axes: The axis of each leaf that holds its rows, as for :func:`accumulate`. A leaf
            without rows is taken once.

    Returns:
        One batch: NumPy arrays where all given were NumPy's, else JAX arrays.

    Raises:
        ValueError: There is no batch, they differ in shape, or a leaf without rows differs from
            batch to batch.

    PyTorch:
        A loop that calls ``backward`` on A batches of the ``DataLoader`` before each
        ``optimizer.step()``.

    Example:
        >>> import numpy as np
        >>> import jaxaccel as ja
        >>> joined = ja.training.join_micro_batches([np.array([1, 2, 3]), np.array([4, 5, 6])])
        >>> print(joined, joined[0::2])
        [1 4 2 5 3 6] [1 2 3]
    """
    batches = list(batches)
    if not batches:
        raise ValueError("join_micro_batches needs at least one batch, got none")
    treedef = jax.tree.structure(batches[0])
    for index, batch in enumerate(batches):
        check_arrays(f"batches[{index}]", batch)
        if jax.tree.structure(batch) != treedef:
            raise ValueError(
                "the batches to join must have the same structure, got "
                f"{jax.tree.structure(batch)} at batches[{index}] and {treedef} at batches[0]"
            )
    axes = row_axes(batches[0], batch_axes)
    rows = [count_rows(batch, row_axes(batch, batch_axes)) for batch in batches]
    if len(set(rows)) > 1:
        raise ValueError(
            f"the batches to join must have the same number of rows, got {rows}; drop the last, "
            "smaller batch"
        )
    columns = zip(*map(jax.tree.leaves, batches), strict=True)
    joined = [_interleaved(c, axis) for c, axis in zip(columns, axes, strict=True)]
    return jax.tree.unflatten(treedef, joined)


def _interleaved(leaves: Sequence[Any], axis: int | None) -> Any:
    """Return one leaf of all batches, row by row."""
    first = leaves[0]
    if axis is None:
        if not all(bool(jnp.array_equal(first, leaf)) for leaf in leaves[1:]):
            raise ValueError(
                f"a leaf without rows must be the same in all batches, got {list(leaves)}; give "
                "it rows, or name its axis in batch_axes"
            )
        return first
    shapes = {np.shape(leaf) for leaf in leaves}
    if len(shapes) > 1:
        raise ValueError(
            f"the batches to join must have leaves of the same shape, got {sorted(shapes)}; pad "
            "them"
        )
    package = np if all(isinstance(leaf, np.ndarray) for leaf in leaves) else jnp
    stacked = package.stack(leaves, axis=axis + 1)
    rows = len(leaves) * first.shape[axis]
    return stacked.reshape(*first.shape[:axis], rows, *first.shape[axis + 1 :])
