"""The one place where initial weights are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Generator, Tensor

Initializer: TypeAlias = Callable[..., Tensor]
"""``init(key, shape, dtype)``; here ``key`` is a ``torch.Generator`` or None."""


def uniform(
    key: Generator | None,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    low: float,
    high: float,
) -> Tensor:
    """Draw from U[low, high)."""
    return torch.empty(shape, dtype=dtype).uniform_(low, high, generator=key)


def normal(
    key: Generator | None,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    mean: float,
    std: float,
) -> Tensor:
    """Draw from N(mean, std^2), not truncated."""
    return torch.empty(shape, dtype=dtype).normal_(mean, std, generator=key)
