"""The one place where initial weights are drawn, in PyTorch's layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Generator, Tensor

from torch_ref._layout import from_torch, shape_in_torch

Initializer: TypeAlias = Callable[..., Tensor]
"""``init(key, shape, dtype)``; here ``key`` is a ``torch.Generator`` or None."""


def uniform(
    key: Generator | None,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    low: float,
    high: float,
    layout: str = "torch",
) -> Tensor:
    """Draw from U[low, high)."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    return from_torch(tensor.uniform_(low, high, generator=key), layout)


def normal(
    key: Generator | None,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    mean: float,
    std: float,
    layout: str = "torch",
) -> Tensor:
    """Draw from N(mean, std^2), not truncated."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    return from_torch(tensor.normal_(mean, std, generator=key), layout)


def trunc_normal(
    key: Generator | None,
    shape: tuple[int, ...],
    dtype: torch.dtype | None,
    mean: float,
    std: float,
    a: float,
    b: float,
    layout: str,
) -> Tensor:
    """Draw from N(mean, std^2) within [a, b]."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    filled = torch.nn.init.trunc_normal_(tensor, mean, std, a, b, generator=key)
    return from_torch(filled, layout)


def permutations(key: Generator | None, n: int, count: int) -> Tensor:
    """Return ``count`` permutations of 0 to n - 1, each a column."""
    columns = [torch.randperm(n, generator=key) for _ in range(count)]
    return torch.stack(columns, 1) if columns else torch.empty((n, 0), dtype=torch.long)


def check_range(low: float, high: float) -> None:
    """Raise on a range whose ends are in the wrong order."""
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )


def check_std(std: float) -> None:
    """Raise on a negative standard deviation."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
