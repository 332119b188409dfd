"""Muon: a step along the momentum's nearest orthogonal matrix, for matrices only."""

import functools
import math
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_non_negative, check_params_for_decay, known_value
from torch_ref._layout import check_layouts, input_axis, layout_at, output_axis
from torch_ref._math import compute_dtype, ema, is_zero, newton_schulz, value_at
from torch_ref._tree import initial_step, path_name, update_leaves, zeros_like
from torch_ref._types import GradientTransformation


class MuonState(NamedTuple):
    """State of :func:`muon`, under PyTorch's keys."""

    step: int
    momentum_buffer: Any


def muon(
    lr=1e-3,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_coefficients=(3.4445, -4.7750, 2.0315),
    eps=1e-7,
    ns_steps=5,
    adjust_lr_fn=None,
    *,
    layout="flax",
):
    """Muon, with PyTorch's momentum, bfloat16 iteration and learning rates."""
    _check(lr, weight_decay, momentum, adjust_lr_fn, ns_coefficients, eps, ns_steps)
    check_layouts(layout)

    def init(params):
        _check_matrices(params, "Muon only supports 2D parameters whereas we found a parameter")
        return MuonState(step=initial_step(params), momentum_buffer=zeros_like(params))

    def update(updates, state, params=None):
        if not is_zero(weight_decay):
            check_params_for_decay(params)
        _check_matrices(updates, "Param gradient must be a 2D matrix, not one")
        update_leaf = functools.partial(
            _update_leaf,
            lr=value_at(lr, state.step),
            weight_decay=value_at(weight_decay, state.step),
            momentum=value_at(momentum, state.step),
            nesterov=nesterov,
            ns_coefficients=[value_at(each, state.step) for each in ns_coefficients],
            eps=value_at(eps, state.step),
            ns_steps=ns_steps,
        )
        lr_ratio = _lr_ratio(updates, adjust_lr_fn, layout)
        slots = (state.momentum_buffer, lr_ratio)
        updates, momentum_buffer, _ = update_leaves(update_leaf, updates, params, slots)
        return updates, MuonState(state.step + 1, momentum_buffer)

    return GradientTransformation(init, update)


def _update_leaf(
    param, grad, momentum_buffer, lr_ratio, *,
    lr, weight_decay, momentum, nesterov, ns_coefficients, eps, ns_steps,
):  # fmt: skip
    """Return the update of one matrix and its new momentum buffer."""
    momentum_buffer = ema(momentum_buffer, grad, momentum)
    direction = ema(momentum_buffer, grad, momentum) if nesterov else momentum_buffer
    orthogonal = newton_schulz(direction, ns_coefficients, ns_steps, eps)

    update = -(lr * lr_ratio) * orthogonal
    if not is_zero(weight_decay):
        update = update - lr * weight_decay * param
    return update, momentum_buffer, lr_ratio


def _lr_ratio(grads, adjust_lr_fn, layout):
    """Return the factor of the learning rate of every leaf, in the dtype of its arithmetic."""

    def of_leaf(path, grad):
        if grad is None:
            return None
        own = layout_at(layout, path_name(path))
        outputs, inputs = grad.shape[output_axis(own)], grad.shape[input_axis(own)]
        if adjust_lr_fn == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(outputs, inputs))
        else:
            ratio = math.sqrt(max(1.0, outputs / max(1, inputs)))
        return torch.as_tensor(ratio, dtype=compute_dtype(grad.dtype))

    return pytree.tree_map_with_path(of_leaf, grads)


def _check(lr, weight_decay, momentum, adjust_lr_fn, ns_coefficients, eps, ns_steps):
    """Check the arguments in PyTorch's order, with its texts."""
    check_non_negative("lr", lr, "Learning rate should be >= 0 but is")
    check_non_negative("momentum", momentum, "momentum should be >= 0 but is")
    check_non_negative("weight_decay", weight_decay, "weight decay should be >= 0 but is")
    if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
        raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
    if not isinstance(ns_steps, int) or isinstance(ns_steps, bool):
        raise TypeError(f"ns_steps must be an integer, got {ns_steps!r}")
    if ns_steps >= 100:
        raise ValueError(
            "Number of steps must be less than 100 for computational efficiency, "
            f"got ns_steps={ns_steps}"
        )
    if not isinstance(ns_coefficients, (tuple, list)) or len(ns_coefficients) != 3:
        raise ValueError(
            "Coefficients must be a tuple of exactly 3 values, "
            f"got ns_coefficients={ns_coefficients!r}"
        )
    for index, coefficient in enumerate(ns_coefficients):
        known_value(f"ns_coefficients[{index}]", coefficient)
    known_value("eps", eps)


def _check_matrices(tree, text):
    """Raise unless every leaf is a real matrix."""
    for path, leaf in pytree.tree_leaves_with_path(tree):
        if leaf is None:
            continue
        if leaf.ndim != 2:
            raise ValueError(f"{text} with size: {tuple(leaf.shape)} at {path_name(path)!r}")
        if leaf.is_complex():
            raise RuntimeError(
                f"Muon does not support complex parameters, got one at {path_name(path)!r}"
            )
