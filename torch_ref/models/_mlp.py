"""The multilayer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with a ReLU between each two; :func:`mlp` builds it."""

    def __init__(self, features: Sequence[int], dtype: torch.dtype | None):
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(inputs, outputs, dtype=dtype)
                for inputs, outputs in itertools.pairwise(features)
            ]
        )

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, out_features) for (N, in_features) or (N, C, H, W)."""
        x = torch.flatten(input, 1)
        for layer in list(self.layers)[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)


def mlp(
    in_features: int,
    hidden_features: Sequence[int],
    out_features: int,
    dtype: torch.dtype | None = None,
) -> MLP:
    """Build a multilayer perceptron: linear layers with a ReLU between each two."""
    return MLP((in_features, *hidden_features, out_features), dtype)
