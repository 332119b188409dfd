"""Lookahead: every k steps of any optimizer, fall back part of the way."""

import functools
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_params_given, check_positive_integer, known_value
from torch_ref._math import lerp, value_at
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation


class LookaheadState(NamedTuple):
    """State of :func:`lookahead`."""

    step: int
    slow: Any
    inner_state: Any


def lookahead(tx, k=5, alpha=0.5):
    """Let another optimizer run ahead, and follow it by a share of the way every ``k`` steps."""
    check_positive_integer("k", k)
    known_value("alpha", alpha)
    inner = tx

    def init(params):
        return LookaheadState(
            step=initial_step(params),
            slow=pytree.tree_map(torch.clone, params),
            inner_state=inner.init(params),
        )

    def update(updates, state, params=None):
        check_params_given(params, "lookahead")
        updates, inner_state = inner.update(updates, state.inner_state, params)
        step = state.step + 1
        update_leaf = functools.partial(
            _update_leaf, jumps=step % k == 0, alpha=value_at(alpha, state.step)
        )
        updates, slow = update_leaves(update_leaf, updates, params, [state.slow])
        return updates, LookaheadState(step, slow, inner_state)

    return GradientTransformation(init, update)


def _update_leaf(param, update, slow, *, jumps, alpha):
    """Return the update of one tensor, and its slow weights."""
    if not jumps:
        return update, slow
    fast = param + update
    reached = lerp(slow, fast, alpha)
    return torch.where(reached != fast, reached - param, update), reached
