"""The negative log-likelihood."""

from __future__ import annotations

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._class_indices import class_mean, classes_last, number_at, picked


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
    log_probs = classes_last(input, class_axis)
    index = target.reshape(log_probs.shape[:-1]).long()
    log_prob = number_at(index, log_probs.to(compute_dtype(input.dtype)))
    losses = picked(log_prob, index, log_probs.shape[-1], weight, ignore_index)
    loss = class_mean(*losses, reduction)
    return loss.to(input.dtype)
