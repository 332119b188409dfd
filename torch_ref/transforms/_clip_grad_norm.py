"""Clipping by the norm of all gradients together."""

import torch
from torch.utils import _pytree as pytree

from torch_ref._math import compute_dtype


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
    coefficient = torch.clamp(max_norm / (total_norm + 1e-6), max=1.0)

    def scaled(grad):
        return None if grad is None else (_wide(grad) * coefficient).to(grad.dtype)

    return pytree.tree_map(scaled, grads)


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
