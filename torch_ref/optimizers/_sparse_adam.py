"""SparseAdam: Adam on the rows of a table that a gradient touches, at the cost of those rows."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_betas, check_positive
from torch_ref._math import bias_correction, ema, value_at
from torch_ref._tree import initial_step, path_name, update_leaves, zeros_like
from torch_ref._types import GradientTransformation
from torch_ref.optimizers._sparse_rows import SparseRows, coalesce


class SparseAdamState(NamedTuple):
    """State of :func:`sparse_adam`, under PyTorch's keys."""

    step: int
    exp_avg: Any
    exp_avg_sq: Any


def sparse_adam(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
    """Adam for embedding tables: only the rows that a gradient names move, or cost anything."""
    check_positive("lr", lr, "Invalid learning rate")
    check_positive("eps", eps, "Invalid epsilon value")
    check_betas(betas)

    def init(params):
        _check_real(params)
        return SparseAdamState(
            step=initial_step(params),
            exp_avg=zeros_like(params),
            exp_avg_sq=zeros_like(params),
        )

    def update(updates, state, params=None):
        del params
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            beta1=value_at(betas[0], state.step),
            beta2=value_at(betas[1], state.step),
            eps=value_at(eps, state.step),
            maximize=maximize,
        )
        treedef = pytree.tree_structure(state.exp_avg)
        rows = [
            _update_rows(update_leaf, *leaves)
            for leaves in zip(*map(treedef.flatten_up_to, (updates, *state[1:])), strict=True)
        ]
        columns = list(zip(*rows, strict=True)) or [()] * 3
        updates, *moments = (pytree.tree_unflatten(column, treedef) for column in columns)
        return updates, SparseAdamState(step, *moments)

    return GradientTransformation(init, update)


def _update_rows(update_leaf, grad, *moments):
    """Apply ``update_leaf`` to the touched rows; return their update and the whole moments."""
    if grad is None:
        return (None, *moments)
    table = moments[0]
    if isinstance(grad, torch.Tensor) and not grad.is_sparse:
        raise RuntimeError(
            "SparseAdam does not support dense gradients, please consider Adam instead"
        )
    indices, grad_rows = coalesce(grad, table)
    old_rows = [moment[indices] for moment in moments]
    update: Any
    update, *new_rows = update_leaves(update_leaf, grad_rows, None, old_rows)
    moments = tuple(
        moment.index_copy(0, indices, rows) for moment, rows in zip(moments, new_rows, strict=True)
    )
    return (SparseRows(indices, update.to(table.dtype)), *moments)


def _update_leaf(
    param, grad, exp_avg, exp_avg_sq, step, *, lr, beta1, beta2, eps, maximize,
):  # fmt: skip
    """Return the update of the touched rows of one table and their new moments."""
    grad = -grad if maximize else grad
    exp_avg = ema(exp_avg, grad, beta1)
    exp_avg_sq = ema(exp_avg_sq, grad * grad, beta2)
    root = bias_correction(beta2, step) ** 0.5
    step_size = lr * root / bias_correction(beta1, step)
    return -step_size * (exp_avg / (torch.sqrt(exp_avg_sq) + eps)), exp_avg, exp_avg_sq


def _check_real(params):
    """Raise when a parameter is complex."""
    leaves, _ = pytree.tree_flatten_with_path(params)
    paths = [path_name(path) for path, leaf in leaves if leaf.is_complex()]
    if paths:
        raise ValueError(
            f"Complex params at {paths}: SparseAdam does not support complex parameters"
        )
