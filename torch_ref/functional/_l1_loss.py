"""The absolute error."""

from __future__ import annotations

from torch import Tensor

from torch_ref.functional._reduction import as_pair, magnitude, result_dtype, weighted_mean


def l1_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None
) -> Tensor:
    """Return the absolute error."""
    x, y = as_pair(input, target)
    loss = weighted_mean(magnitude(x - y), weight, reduction)
    return loss.to(result_dtype(input, target, weight))
