"""The loss of vectors that are to point in one direction, or not."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import (
    as_pair,
    at_least_zero,
    in_one_shape,
    reduced,
    result_dtype,
)

EPSILON = float(torch.tensor(1e-12))


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    reduction: str = "mean",
) -> Tensor:
    """Return what the cosines of vectors lack of 1, or are above a margin."""
    a, b = as_pair(input1, input2)
    squares = (torch.sum(a * a, -1) + EPSILON) * (torch.sum(b * b, -1) + EPSILON)
    cosine, y = in_one_shape(torch.sum(a * b, -1) / torch.sqrt(squares), target)
    zeros = torch.zeros_like(cosine)
    loss = torch.where(y == 1, 1 - cosine, zeros)
    loss = loss + torch.where(y == -1, at_least_zero(cosine - margin), zeros)
    return reduced(loss, reduction).to(result_dtype(input1, input2))
