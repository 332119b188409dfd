"""Adafactor: a step along the gradient, over a second moment kept as one row and one column."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_non_negative, check_params_given, known_value
from torch_ref._layout import axis_from_torch, check_layouts, layout_at
from torch_ref._math import compute_dtype, is_zero, lerp, value_at
from torch_ref._tree import initial_step, path_name, update_leaves
from torch_ref._types import GradientTransformation


class AdafactorState(NamedTuple):
    """State of :func:`adafactor`, under PyTorch's keys; each tree holds ``None`` where unused."""

    step: int
    row_var: Any
    col_var: Any
    variance: Any


def adafactor(
    lr=1e-2,
    beta2_decay=-0.8,
    eps=(None, 1e-3),
    d=1.0,
    weight_decay=0.0,
    *,
    maximize=False,
    layout="flax",
):
    """Adafactor, factored and scaled as in PyTorch."""
    _check(lr, beta2_decay, eps, d, weight_decay)
    check_layouts(layout)

    def init(params):
        for leaf in pytree.tree_leaves(params):
            if leaf.is_complex():
                raise RuntimeError(
                    f"Adafactor does not support complex parameters (got a leaf of dtype "
                    f"{leaf.dtype})"
                )

        def zeros(torch_axis, path, param):
            if param.ndim < 2:
                return None
            axis = axis_from_torch(torch_axis, param.ndim, layout_at(layout, path_name(path)))
            return torch.zeros_like(torch.sum(param, axis, keepdim=True))

        return AdafactorState(
            step=initial_step(params),
            row_var=pytree.tree_map_with_path(functools.partial(zeros, -1), params),
            col_var=pytree.tree_map_with_path(functools.partial(zeros, -2), params),
            variance=pytree.tree_map(lambda p: torch.zeros_like(p) if p.ndim < 2 else None, params),
        )

    def update(updates, state, params=None):
        check_params_given(params, "adafactor")
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf,
            step=step,
            lr=value_at(lr, state.step),
            beta2_decay=value_at(beta2_decay, state.step),
            eps2=value_at(eps[1], state.step),
            d=value_at(d, state.step),
            weight_decay=value_at(weight_decay, state.step),
            maximize=maximize,
        )
        eps1 = _eps1(None if eps[0] is None else value_at(eps[0], state.step), updates, params)
        slots = (*state[1:], eps1)
        updates, *moments, _ = update_leaves(update_leaf, updates, params, slots)
        return updates, AdafactorState(step, *moments)

    return GradientTransformation(init, update)


def _check(lr, beta2_decay, eps, d, weight_decay):
    """Check the numbers in PyTorch's order, with its texts."""
    check_non_negative("lr", lr, "Learning rate should be >= 0 but is")
    known_decay = known_value("beta2_decay", beta2_decay)
    if known_decay is not None and not known_decay <= 0.0:
        raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
    if not isinstance(eps, (tuple, list)) or len(eps) != 2:
        raise TypeError(f"eps must be a pair (eps1, eps2), got {eps!r}")
    if eps[0] is not None:
        check_non_negative("eps[0]", eps[0], "epsilon1 should be >= 0 but is")
    check_non_negative("eps[1]", eps[1], "epsilon2 should be >= 0 but is")
    known_d = known_value("d", d)
    if known_d is not None and not known_d >= 1.0:
        raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
    check_non_negative("weight_decay", weight_decay, "weight_decay should be >= 0 but is")


def _eps1(eps1, grads, params):
    """Return the first epsilon of every leaf that moves, in the dtype of its arithmetic."""

    def of_leaf(grad, param):
        if grad is None:
            return None
        value = torch.finfo(param.dtype).eps if eps1 is None else eps1
        return torch.as_tensor(value, dtype=compute_dtype(param.dtype))

    return pytree.tree_map(of_leaf, grads, params)


def _update_leaf(
    param, grad, row_var, col_var, variance, eps1, step, *,
    lr, beta2_decay, eps2, d, weight_decay, maximize,
):  # fmt: skip
    """Return the update of one tensor and its new second moment, whole or in two factors."""
    grad = -grad if maximize else grad
    newest = step**beta2_decay
    alpha = max(eps2, float(_root_mean_square(param))) * min(lr, 1 / step**0.5)

    if variance is None:
        row_axis, col_axis = _mean_axes(row_var), _mean_axes(col_var)
        square = grad * grad
        row_var = lerp(row_var, torch.mean(square, row_axis, keepdim=True), newest)
        col_var = lerp(col_var, torch.mean(square, col_axis, keepdim=True), newest)
        mean = torch.mean(row_var, col_axis, keepdim=True)
        estimate = row_var / torch.maximum(mean, eps1) * col_var
    else:
        estimate = variance = lerp(variance, grad * grad, newest)

    update = grad / torch.maximum(torch.sqrt(estimate), eps1)
    update = -(alpha / max(1.0, float(_root_mean_square(update)) / d)) * update
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, row_var, col_var, variance, eps1


def _mean_axes(factor):
    """Return the axes that a factor is a mean over (or, just as well, of size 1 anyway)."""
    return tuple(axis for axis, size in enumerate(factor.shape) if size == 1)


def _root_mean_square(array):
    """Return the root of the mean square of all elements."""
    return torch.sqrt(torch.mean(array * array))
