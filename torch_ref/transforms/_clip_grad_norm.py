"""Clipping by the norm of all gradients together."""

from typing import NamedTuple

import torch
from torch.utils import _pytree as pytree

from torch_ref._checks import check_non_negative
from torch_ref._math import compute_dtype, value_at
from torch_ref._tree import initial_step, update_leaves
from torch_ref._types import GradientTransformation


class ClipGradNormState(NamedTuple):
    """State of :func:`clip_grad_norm`."""

    step: int
    total_norm: torch.Tensor


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False):
    """Return the norm of all leaves, as if they were one vector."""
    leaves = [leaf for leaf in pytree.tree_leaves(tensors) if leaf is not None]
    if not leaves:
        return torch.zeros(())
    order = float(norm_type)
    norms = [torch.linalg.vector_norm(_wide(leaf), ord=order) for leaf in leaves]
    total_norm = torch.linalg.vector_norm(torch.stack(norms), ord=order)
    if error_if_nonfinite:
        _raise_if_nonfinite(total_norm, norm_type=order)
    return total_norm


def clip_grads_with_norm(grads, max_norm, total_norm):
    """Scale gradients whose norm is known."""
    check_non_negative("max_norm", max_norm, "Invalid max_norm value")
    coefficient = torch.clamp(max_norm / (total_norm + 1e-6), max=1.0)
    (clipped,) = update_leaves(
        lambda _, grad: (grad * coefficient.to(grad.dtype),), grads, None, ()
    )
    return clipped


def clip_grad_norm(max_norm, norm_type=2.0, error_if_nonfinite=False):
    """Clip gradients by their common norm, with PyTorch's 1e-6."""
    check_non_negative("max_norm", max_norm, "Invalid max_norm value")
    norm_type = float(norm_type)

    def init(params):
        return ClipGradNormState(step=initial_step(params), total_norm=torch.zeros(()))

    def update(updates, state, params=None):
        del params
        total_norm = get_total_norm(updates, norm_type, error_if_nonfinite)
        clipped = clip_grads_with_norm(updates, value_at(max_norm, state.step), total_norm)
        return clipped, ClipGradNormState(state.step + 1, total_norm)

    return GradientTransformation(init, update)


def _wide(leaf):
    """Return a leaf in the dtype that its norm is accumulated in."""
    return leaf.to(compute_dtype(leaf.dtype))


def _raise_if_nonfinite(total_norm, norm_type):
    """Raise PyTorch's error when the norm is NaN or infinite."""
    if not torch.isfinite(total_norm):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped. To disable this error and scale the gradients by the "
            "non-finite norm anyway, set `error_if_nonfinite=False`"
        )
