"""What residual networks are made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Factory(NamedTuple):
    """Makes convolutions without bias, and norms, of one dtype."""

    dtype: torch.dtype | None

    def conv(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
        """Make a convolution that keeps the size of an image, but for its stride."""
        padding = kernel_size // 2
        return nn.Conv2d(
            *(inputs, outputs, kernel_size, stride, padding), bias=False, dtype=self.dtype
        )

    def norm(self, channels: int) -> nn.BatchNorm2d:
        """Make a batch normalization."""
        return nn.BatchNorm2d(channels, dtype=self.dtype)

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
        """Make the way around a block: nothing where the shape stays."""
        if stride == 1 and inputs == outputs:
            return None
        return nn.Sequential(self.conv(inputs, outputs, 1, stride), self.norm(outputs))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_planes: int, planes: int, stride: int, make: Factory):
        super().__init__()
        self.conv1 = make.conv(in_planes, planes, 3, stride)
        self.bn1 = make.norm(planes)
        self.conv2 = make.conv(planes, planes, 3)
        self.bn2 = make.norm(planes)
        self.downsample = make.shortcut(in_planes, planes, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, planes, H / stride, W / stride)."""
        x = torch.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return torch.relu(x + _around(self.downsample, input))


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 ones that narrow and widen, beside a shortcut."""

    expansion = 4

    def __init__(self, in_planes: int, planes: int, stride: int, make: Factory):
        super().__init__()
        out_planes = self.expansion * planes
        self.conv1 = make.conv(in_planes, planes, 1)
        self.bn1 = make.norm(planes)
        self.conv2 = make.conv(planes, planes, 3, stride)
        self.bn2 = make.norm(planes)
        self.conv3 = make.conv(planes, out_planes, 1)
        self.bn3 = make.norm(out_planes)
        self.downsample = make.shortcut(in_planes, out_planes, stride)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, 4 * planes, H / stride, W / stride)."""
        x = torch.relu(self.bn1(self.conv1(input)))
        x = torch.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return torch.relu(x + _around(self.downsample, input))


def _around(downsample: nn.Sequential | None, x: Tensor) -> Tensor:
    """Return what a block's input contributes to its output."""
    return x if downsample is None else downsample(x)
