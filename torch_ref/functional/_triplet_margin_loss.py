"""The losses of triplets: an anchor is nearer to one example than to another."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torch_ref.functional._pairwise_distance import distance, pairwise_distance
from torch_ref.functional._reduction import (
    as_pair,
    at_least_zero,
    in_one_shape,
    reduced,
    result_dtype,
)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Return by how much an anchor is not nearer to one example than to another."""

    def between(x: Tensor, y: Tensor) -> Tensor:
        return distance(*as_pair(x, y), p, eps)[..., 0]

    loss = _loss(anchor, positive, negative, between, margin, swap)
    return reduced(loss, reduction).to(result_dtype(anchor, positive, negative))


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Return by how much an anchor is not nearer to one than to another, by any distance."""
    between = pairwise_distance if distance_function is None else distance_function
    return reduced(_loss(anchor, positive, negative, between, margin, swap), reduction)


def _loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    between: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
) -> Tensor:
    """Return the loss of each triplet."""
    near, far = between(anchor, positive), between(anchor, negative)
    if swap:
        far = torch.minimum(*_alike(far, between(positive, negative)))
    near, far = _alike(near, far)
    return at_least_zero(margin + near - far)


def _alike(a: Tensor, b: Tensor) -> list[Tensor]:
    """Return two tensors of distances in one shape and in the wider dtype."""
    dtype = result_dtype(a, b)
    return [each.to(dtype) for each in in_one_shape(a, b)]
