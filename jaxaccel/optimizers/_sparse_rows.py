"""Gradients and updates that name the rows of a table that they touch."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._check_trees import check_arrays, check_gradients
from jaxaccel._checked import checked_after
from jaxaccel._math import compute_dtype
from jaxaccel._tree import short_repr
from jaxaccel._types import Params, Updates


class SparseRows(NamedTuple):
    """Rows of a table, and where they stand: a gradient or an update of the rows it touches."""

    indices: jax.Array
    """Integers of any shape: row numbers. One outside [0, rows of the table) is padding."""
    rows: jax.Array
    """The row at each index: ``(*indices.shape, *table.shape[1:])``."""

    __repr__ = short_repr


@checked_after
def apply_sparse_updates(params: Params, updates: Updates) -> Params:
    """Add updates to the parameters: to whole arrays, or to the rows that an update names.

    What :func:`optax.apply_updates` does, for trees in which some updates are
    :class:`SparseRows`. Rows are added where they stand: in a jitted step that donates the
    parameters the cost grows with the touched rows, not with the table. Applied to zeros like the
    parameters it gives the dense updates that another optax function may ask for.

    Args:
        params: A tree of arrays.
        updates: The same tree with an array, a :class:`SparseRows`, a pair ``(indices, rows)``, a
            ``BCOO`` or ``None`` (no change) in place of each array.

    Returns:
        The new parameters, in their own shapes and dtypes. Rows with the same index are all added;
        rows outside the table are dropped.

    Raises:
        ValueError: Indices and rows do not fit each other or the table, an array has another shape
            than its parameter, or the trees differ.
        TypeError: Indices are not integers, or an update is of another type.

    PyTorch:
        ``param.add_(sparse_tensor)``, the last line of ``torch.optim.SparseAdam``, out of place.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> update = ja.optimizers.SparseRows(jnp.array([2, 0]), jnp.array([0.5, -1.0]))
        >>> print(ja.optimizers.apply_sparse_updates(jnp.ones(4), update))
        [0.  1.  1.5 1. ]
    """
    check_arrays("params", params)
    check_gradients("apply_sparse_updates", updates, params, dense=False)

    def apply(param: Any, update: Any) -> Any:
        if update is None:
            return param
        param = jnp.asarray(param)
        if isinstance(update, (jax.Array, np.ndarray, np.generic, int, float)):
            check_gradients("apply_sparse_updates", update, param)
            return (param + update).astype(param.dtype)
        indices, rows = as_sparse_rows(update, param)
        return param.at[indices].add(rows.astype(param.dtype), mode="drop")

    leaves, treedef = jax.tree.flatten(params)
    return treedef.unflatten(map(apply, leaves, treedef.flatten_up_to(updates)))


def as_sparse_rows(sparse: Any, table: Any) -> SparseRows:
    """Return a pair or a BCOO, checked, with int32 indices along one axis.

    An index outside the table, negative ones too, becomes one past its end.
    """
    indices, rows = map(jnp.asarray, _parts(sparse))
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"row indices must be integers, got {indices.dtype}")
    if table.ndim == 0 or rows.shape != (*indices.shape, *table.shape[1:]):
        raise ValueError(
            f"a table of shape {table.shape} and indices of shape {indices.shape} need rows of "
            f"shape (*indices.shape, *table.shape[1:]), got {rows.shape}"
        )
    count = table.shape[0]
    indices = indices.astype(jnp.int32).reshape(-1)
    indices = jnp.where((indices < 0) | (indices >= count), count, indices)
    return SparseRows(indices, rows.reshape(-1, *table.shape[1:]))


def _parts(sparse: Any) -> tuple[Any, Any]:
    """Return the indices and rows of a pair or a BCOO."""
    if isinstance(sparse, tuple):
        if len(sparse) != 2:
            raise ValueError(f"expected a pair (indices, rows), got {len(sparse)} items")
        return sparse[0], sparse[1]
    # Imported late: it takes longer than all of jaxaccel, and whoever holds a BCOO has it already.
    from jax.experimental.sparse import BCOO

    if not isinstance(sparse, BCOO):
        raise TypeError(f"expected a pair (indices, rows) or a BCOO, got {type(sparse).__name__}")
    if (sparse.n_batch, sparse.n_sparse) != (0, 1):
        raise ValueError(
            f"expected a BCOO of whole rows (n_batch=0, n_sparse=1), got n_batch={sparse.n_batch} "
            f"and n_sparse={sparse.n_sparse}"
        )
    return sparse.indices[:, 0], sparse.data


def coalesce(sparse: Any, table: Any) -> SparseRows:
    """Return each touched row once, in order, with the sum of what was given for it.

    The number of rows is static: what is left over is zeros at indices past the end of the table,
    each its own. Half-precision tables are summed in float32.
    """
    indices, rows = as_sparse_rows(sparse, table)
    count = table.shape[0]
    size = min(len(indices), count)
    unique, position = jnp.unique(indices, size=size, fill_value=count, return_inverse=True)
    is_row = unique < count
    summed = jax.ops.segment_sum(rows.astype(compute_dtype(table.dtype)), position, size)
    summed = jnp.where(is_row.reshape(-1, *[1] * (summed.ndim - 1)), summed, 0)
    return SparseRows(jnp.where(is_row, unique, count + jnp.arange(size, dtype=jnp.int32)), summed)
