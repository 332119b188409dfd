"""Rprop: each parameter has a step size of its own, and the gradient gives only the sign."""

import torch


def _update_leaf(
    param, grad, prev, step_size, *,
    etaminus, etaplus, step_size_min, step_size_max, maximize,
):  # fmt: skip
    """Return the update of one tensor, the gradient to remember and the new step sizes."""
    del param
    grad = -grad if maximize else grad
    agreement = grad * prev
    turned = agreement < 0
    grown = torch.where(agreement > 0, etaplus * step_size, step_size)
    step_size = torch.where(
        turned,
        torch.clamp(etaminus * step_size, step_size_min, step_size_max),
        torch.clamp(grown, step_size_min, step_size_max),
    )
    grad = torch.where(turned, 0, grad)
    return _against(grad, step_size), grad, step_size


def _against(grad, step_size):
    """Return a step against the sign of the gradient; none where that is 0 or NaN."""
    return torch.where(grad > 0, -step_size, torch.where(grad < 0, step_size, -0.0))
