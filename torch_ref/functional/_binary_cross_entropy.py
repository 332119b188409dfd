"""The cross entropy of probabilities of yes and no."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, reduced, result_dtype, times

LEAST_LOG = -100.0
LEAST_VARIANCE = float(torch.tensor(1e-12))


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross entropy between two probabilities."""
    dtype = result_dtype(input, target, weight)
    loss = _CrossEntropy.apply(*as_pair(input, target))
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).to(dtype)


class _CrossEntropy(torch.autograd.Function):
    """The loss, and derivatives whose bounds are not those of the loss."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        yes, no = (each.clamp_min(LEAST_LOG) for each in (torch.log(x), torch.log1p(-x)))
        return (y - 1) * no - y * yes

    @staticmethod
    def backward(ctx, *grad_outputs):
        (grad,) = grad_outputs
        x, y = ctx.saved_tensors
        by_input = (x - y) / ((1 - x) * x).clamp_min(LEAST_VARIANCE)
        return by_input * grad, (torch.log1p(-x) - torch.log(x)) * grad
