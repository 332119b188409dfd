"""Gradients and updates that name the rows of a table that they touch."""

from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._math import compute_dtype


class SparseRows(NamedTuple):
    """Rows of a table, and where they stand: a gradient or an update of the rows it touches."""

    indices: Any
    rows: Any


def apply_sparse_updates(params, updates):
    """Add updates to the parameters: to whole tensors, or to the rows that an update names."""

    def apply(param, update):
        if update is None:
            return param
        if isinstance(update, torch.Tensor) and not update.is_sparse:
            return (param + update).to(param.dtype)
        indices, rows = as_sparse_rows(update, param)
        return param.index_add(0, indices, rows.to(param.dtype))

    leaves, treedef = pytree.tree_flatten(params)
    updated = [apply(*pair) for pair in zip(leaves, treedef.flatten_up_to(updates), strict=True)]
    return pytree.tree_unflatten(updated, treedef)


def as_sparse_rows(sparse, table):
    """Return a pair or a sparse tensor, checked, with the indices that are in the table."""
    indices, rows = _parts(sparse)
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == torch.bool:
        raise TypeError(f"row indices must be integers, got {indices.dtype}")
    if table.ndim == 0 or rows.shape != (*indices.shape, *table.shape[1:]):
        raise ValueError(
            f"a table of shape {tuple(table.shape)} and indices of shape {tuple(indices.shape)} "
            f"need rows of shape (*indices.shape, *table.shape[1:]), got {tuple(rows.shape)}"
        )
    indices = indices.reshape(-1)
    rows = rows.reshape(len(indices), *table.shape[1:])
    is_row = (indices >= 0) & (indices < table.shape[0])
    return SparseRows(indices[is_row], rows[is_row])


def _parts(sparse):
    """Return the indices and rows of a pair or a sparse tensor."""
    if isinstance(sparse, tuple):
        if len(sparse) != 2:
            raise ValueError(f"expected a pair (indices, rows), got {len(sparse)} items")
        return sparse
    if not isinstance(sparse, torch.Tensor):
        raise TypeError(
            f"expected a pair (indices, rows) or a sparse tensor, got {type(sparse).__name__}"
        )
    if sparse.sparse_dim() != 1:
        raise ValueError(
            f"expected a sparse tensor of whole rows, got sparse_dim={sparse.sparse_dim()}"
        )
    return sparse._indices()[0], sparse._values()


def coalesce(sparse, table):
    """Return each touched row once, in order, with the sum of what was given for it."""
    indices, rows = as_sparse_rows(sparse, table)
    unique, position = torch.unique(indices, return_inverse=True)
    rows = rows.to(compute_dtype(table.dtype))
    summed = rows.new_zeros(len(unique), *rows.shape[1:]).index_add(0, position, rows)
    return SparseRows(unique, summed)
