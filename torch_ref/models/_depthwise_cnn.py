"""A small network of depthwise separable convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

STAGES = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1))
"""Of each block: its channels, as a multiple of the first ones, and its stride."""


class SeparableBlock(nn.Module):
    """A 3x3 convolution of each channel alone, then a 1x1 convolution that mixes them."""

    def __init__(self, inputs: int, outputs: int, stride: int, dtype: torch.dtype | None):
        super().__init__()
        self.depthwise = nn.Conv2d(
            *(inputs, inputs, 3, stride, 1), groups=inputs, bias=False, dtype=dtype
        )
        self.bn1 = nn.BatchNorm2d(inputs, dtype=dtype)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False, dtype=dtype)
        self.bn2 = nn.BatchNorm2d(outputs, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, outputs, H / stride, W / stride)."""
        x = torch.relu(self.bn1(self.depthwise(input)))
        return torch.relu(self.bn2(self.pointwise(x)))


class DepthwiseCNN(nn.Module):
    """A stem, separable blocks, a mean and a linear layer; :func:`depthwise_cnn` builds it."""

    def __init__(self, num_classes: int, in_channels: int, width: int, dtype: torch.dtype | None):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False, dtype=dtype)
        self.bn1 = nn.BatchNorm2d(width, dtype=dtype)
        blocks, channels = [], width
        for multiple, stride in STAGES:
            outputs = multiple * width
            blocks.append(SeparableBlock(channels, outputs, stride, dtype))
            channels = outputs
        self.layers = nn.ModuleList(blocks)
        self.fc = nn.Linear(channels, num_classes, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, in_channels, H, W)."""
        x = torch.relu(self.bn1(self.conv1(input)))
        for layer in self.layers:
            x = layer(x)
        return self.fc(torch.mean(x, (2, 3)))


def depthwise_cnn(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 32,
    dtype: torch.dtype | None = None,
) -> DepthwiseCNN:
    """Build a small MobileNet for CIFAR: a 3x3 stem and five depthwise separable convolutions."""
    return DepthwiseCNN(num_classes, in_channels, width, dtype)
