"""The squared error with its ends straightened."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import (
    as_pair,
    check_reduction,
    check_weight_size,
    magnitude,
    reduced,
    result_dtype,
    times,
    warn_of_sizes,
)


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return half the squared error, which grows no faster than linearly."""
    check_reduction(reduction)
    if delta <= 0:
        raise ValueError("huber_loss does not support non-positive values for delta.")
    warn_of_sizes(input, target)
    check_weight_size(input, weight)
    x, y = as_pair(input, target)
    distance = magnitude(x - y)
    # An infinite distance must not meet the square, not even where it is not chosen.
    near = torch.where(distance <= delta, distance, torch.zeros_like(distance))
    loss = torch.where(distance <= delta, 0.5 * near * near, delta * (distance - 0.5 * delta))
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).to(result_dtype(input, weight))
