"""The squared error."""

from __future__ import annotations

from torch import Tensor

from torch_ref.functional._reduction import as_pair, result_dtype, weighted_mean


def mse_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Return the squared error."""
    x, y = as_pair(input, target)
    loss = weighted_mean((x - y) * (x - y), weight, reduction)
    return loss.to(result_dtype(input, target, weight))
