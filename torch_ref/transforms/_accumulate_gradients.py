"""Gradient accumulation around any optimizer: one step on the mean of several gradients."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_positive_integer
from torch_ref._math import compute_dtype
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation


class AccumulateGradientsState(NamedTuple):
    """State of :func:`accumulate_gradients`."""

    micro_step: int
    weight: float
    grad: Any
    inner_state: Any


def accumulate_gradients(tx, steps):
    """Collect the gradients of several micro-batches, then let an optimizer step on their mean."""
    check_positive_integer("accumulation steps", steps)
    inner = tx

    def init(params):
        return AccumulateGradientsState(
            micro_step=initial_step(params),
            weight=0.0,
            grad=pytree.tree_map(_empty_buffer, params),
            inner_state=inner.init(params),
        )

    def update(updates, state, params=None, *, weight=None, flush=False):
        micro_step, total, buffer = _collect(updates, state, weight)
        inner_state = state.inner_state
        is_full = micro_step == steps or flush
        steps_now = is_full and total > 0
        if steps_now:
            mean = pytree.tree_map(lambda g, s: _mean(g, s, total), updates, buffer)
            moves, inner_state = inner.update(mean, inner_state, params)
            buffer = pytree.tree_map(_carry, updates, moves, buffer)
        update_leaf = functools.partial(_update_leaf, steps_now=steps_now)
        moves, buffer = update_leaves(update_leaf, updates, params, [buffer])
        micro_step, total = (0, 0.0) if is_full else (micro_step, total)
        return moves, AccumulateGradientsState(micro_step, total, buffer, inner_state)

    return GradientTransformation(init, update)


def _collect(updates, state, weight):
    """Return the count, the sum of weights and the weighted sum with one more micro-batch."""
    buffer = pytree.tree_map(
        lambda g, s: s if g is None else _add(g, s, weight), updates, state.grad
    )
    return state.micro_step + 1, state.weight + (1 if weight is None else weight), buffer


def _add(grad, buffer, weight):
    """Return the weighted sum of one tensor's gradients with one more; weight 0 adds nothing."""
    grad = grad.to(buffer.dtype)
    if weight is None:
        return buffer + grad
    return buffer if weight == 0 else buffer + weight * grad


def _mean(grad, buffer, total):
    """Return the mean gradient in the dtype that gradients come in; ``None`` stays ``None``."""
    return None if grad is None else (buffer / total).to(grad.dtype)


def _carry(grad, move, buffer):
    """Return an update in the buffer's dtype; without a gradient the buffer stays."""
    return buffer if grad is None else move.to(buffer.dtype)


def _update_leaf(param, grad, buffer, *, steps_now):
    """Return the update of one tensor and its buffer, emptied once its update is out."""
    del param, grad
    nothing = torch.zeros_like(buffer)
    return (buffer, nothing) if steps_now else (-nothing, buffer)


def _empty_buffer(param):
    """Return zeros like a parameter, in the dtype in which its gradients are summed."""
    return torch.zeros_like(param, dtype=compute_dtype(param.dtype))
