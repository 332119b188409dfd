"""The one place where initial weights are drawn, in PyTorch's layout.

``key`` is a ``torch.Generator``, or None for PyTorch's own.
"""

import torch

from torch_ref._layout import from_torch, shape_in_torch


def uniform(key, shape, dtype, low, high, layout="torch"):
    """Draw from U[low, high)."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    return from_torch(tensor.uniform_(low, high, generator=key), layout)


def normal(key, shape, dtype, mean, std, layout="torch"):
    """Draw from N(mean, std^2), not truncated."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    return from_torch(tensor.normal_(mean, std, generator=key), layout)


def trunc_normal(key, shape, dtype, mean, std, a, b, layout):
    """Draw from N(mean, std^2) within [a, b]."""
    tensor = torch.empty(shape_in_torch(shape, layout), dtype=dtype)
    filled = torch.nn.init.trunc_normal_(tensor, mean, std, a, b, generator=key)
    return from_torch(filled, layout)


def permutations(key, n, count):
    """Return ``count`` permutations of 0 to n - 1, each a column."""
    columns = [torch.randperm(n, generator=key) for _ in range(count)]
    return torch.stack(columns, 1) if columns else torch.empty((n, 0), dtype=torch.long)
