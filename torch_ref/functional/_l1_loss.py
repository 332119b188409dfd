"""The absolute error."""

from __future__ import annotations

from torch import Tensor

from torch_ref.functional._reduction import (
    as_pair,
    check_reduction,
    check_weight_size,
    magnitude,
    result_dtype,
    warn_of_sizes,
    weighted_mean,
)


def l1_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Return the absolute error."""
    check_reduction(reduction)
    warn_of_sizes(input, target)
    check_weight_size(input, weight)
    x, y = as_pair(input, target)
    loss = weighted_mean(magnitude(x - y), weight, reduction)
    return loss.to(result_dtype(input, target, weight))
