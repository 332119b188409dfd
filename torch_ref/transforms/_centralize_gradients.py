"""Gradient centralization: the gradient of every output has mean zero."""

import torch
from torch.utils.hooks import RemovableHandle

from torch_ref._math import compute_dtype


def centralize_gradients(optimizer: torch.optim.Optimizer, conv_only=False) -> RemovableHandle:
    """Let an optimizer subtract from the gradient of each output's weights its mean.

    It runs before every ``step()``, so behind clipping and ``GradScaler``'s unscaling; PyTorch's
    kernels have their outputs first. Returns a handle whose ``remove()`` ends it.
    """
    fewest_dims = 4 if conv_only else 2

    def centralize(optimizer, args, kwargs):
        _, *given = args
        if any(closure is not None for closure in (*given, kwargs.get("closure"))):
            raise RuntimeError(
                "centralize_gradients runs before step(), but a closure makes its gradients inside "
                "of it; compute them first and call step() without a closure"
            )
        for param in (p for group in optimizer.param_groups for p in group["params"]):
            if param.grad is not None and param.grad.ndim >= fewest_dims:
                param.grad = _update_leaf(param.grad, 0)

    return optimizer.register_step_pre_hook(centralize)


def _update_leaf(grad, axis):
    """Return the gradient without its mean over all axes but one."""
    others = tuple(other for other in range(grad.ndim) if other != axis % grad.ndim)
    wide = grad.to(compute_dtype(grad.dtype))
    return (wide - wide.mean(others, keepdim=True)).to(grad.dtype)
