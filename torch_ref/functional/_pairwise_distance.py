"""The p-norm distance of vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from torch_ref.functional._reduction import as_pair, result_dtype


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """Return the distances of vectors, which are on the last axis."""
    found = distance(*as_pair(x1, x2), p, eps)
    if not keepdim:
        found = found[..., 0] if found.ndim else found
    return found.to(result_dtype(x1, x2))


def distance(x1: Tensor, x2: Tensor, p: float, eps: float) -> Tensor:
    """Return the distances of vectors of one shape and dtype; the last axis stays."""
    return torch.linalg.vector_norm(x1 - x2 + eps, p, -1, keepdim=True)
