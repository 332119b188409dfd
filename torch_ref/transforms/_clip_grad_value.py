"""Clipping of every gradient entry by itself."""

from typing import NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_non_negative
from torch_ref._math import value_at
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation


class ClipGradValueState(NamedTuple):
    """State of :func:`clip_grad_value`."""

    step: int


def clip_grad_value(clip_value):
    """Clamp every gradient entry to ``[-clip_value, clip_value]``; NaN stays NaN."""
    check_non_negative("clip_value", clip_value, "Invalid clip_value")

    def init(params):
        return ClipGradValueState(step=initial_step(params))

    def update(updates, state, params=None):
        del params
        for leaf in pytree.tree_leaves(updates):
            if leaf is not None and leaf.is_complex():
                raise TypeError(
                    f"clip_grad_value: complex gradients have no order to clip by (got a leaf of "
                    f"dtype {leaf.dtype}); use clip_grad_norm"
                )
        bound = value_at(clip_value, state.step)
        (clipped,) = update_leaves(lambda _, grad: (_clamp(grad, bound),), updates, None, ())
        return clipped, ClipGradValueState(state.step + 1)

    return GradientTransformation(init, update)


def _clamp(grad, bound):
    """Return ``grad`` clamped to ``[-bound, bound]``."""
    return torch.clamp(grad, -bound, bound)
