"""The small convolutional network of many tutorials."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SimpleCNN(nn.Module):
    """Two convolutions with pools, two linear layers; :func:`simple_cnn` builds it."""

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, dtype: torch.dtype | None
    ):
        super().__init__()
        size = image_size // 4  # two pools
        self.conv1 = nn.Conv2d(in_channels, 32, 3, padding=1, dtype=dtype)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, dtype=dtype)
        self.pool = nn.MaxPool2d(2, 2)
        self.fc1 = nn.Linear(64 * size * size, 256, dtype=dtype)
        self.fc2 = nn.Linear(256, num_classes, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, in_channels, image_size, image_size)."""
        x = self.pool(torch.relu(self.conv1(input)))
        x = self.pool(torch.relu(self.conv2(x)))
        x = torch.relu(self.fc1(torch.flatten(x, 1)))
        return self.fc2(x)


def simple_cnn(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    dtype: torch.dtype | None = None,
) -> SimpleCNN:
    """Build a small convolutional network: two convolutions, two linear layers."""
    return SimpleCNN(num_classes, in_channels, image_size, dtype)
