"""The negative log-likelihood."""

from __future__ import annotations

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._class_indices import (
    as_indices,
    check_weight,
    class_mean,
    classes_last,
    picked,
)
from torch_ref.functional._reduction import check_reduction


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    *,
    class_axis: int = -1,
) -> Tensor:
    """Return minus the log-probability of the right class."""
    check_reduction(reduction)
    log_probs = classes_last(input, class_axis)
    check_weight(input, weight, log_probs.shape[-1])
    index = as_indices(log_probs, target, ignore_index)
    log_probs = log_probs.to(compute_dtype(input.dtype))
    loss = class_mean(*picked(log_probs, index, weight, ignore_index), reduction)
    return loss.to(input.dtype)
