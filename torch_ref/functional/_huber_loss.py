"""The squared error with its ends straightened."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, magnitude, reduced, result_dtype, times


def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Return half the squared error, which grows no faster than linearly."""
    x, y = as_pair(input, target)
    distance = magnitude(x - y)
    # An infinite distance must not meet the square, not even where it is not chosen.
    near = torch.where(distance <= delta, distance, torch.zeros_like(distance))
    loss = torch.where(distance <= delta, 0.5 * near * near, delta * (distance - 0.5 * delta))
    loss = loss if weight is None else times(loss, weight)
    return reduced(loss, reduction).to(result_dtype(input, weight))
