"""Residual networks for small images."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, in_planes: int, planes: int, stride: int, dtype: torch.dtype | None):
        super().__init__()

        def conv(inputs: int, kernel_size: int, stride: int, padding: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, planes, kernel_size, stride, padding, bias=False, dtype=dtype)

        def norm() -> nn.BatchNorm2d:
            return nn.BatchNorm2d(planes, dtype=dtype)

        self.conv1 = conv(in_planes, 3, stride, 1)
        self.bn1 = norm()
        self.conv2 = conv(planes, 3, 1, 1)
        self.bn2 = norm()
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_planes != planes:
            self.downsample = nn.Sequential(conv(in_planes, 1, stride, 0), norm())

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, planes, H / stride, W / stride)."""
        shortcut = input
        if self.downsample is not None:
            shortcut = self.downsample(shortcut)
        x = torch.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return torch.relu(x + shortcut)


class ResNet(nn.Module):
    """A stem, four stages of basic blocks, a mean and a linear layer."""

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int,
        width: int,
        dtype: torch.dtype | None,
    ):
        super().__init__()
        planes = width

        def stage(out_planes: int, count: int, stride: int) -> nn.Sequential:
            nonlocal planes
            layers = []
            for index in range(count):
                step = stride if index == 0 else 1
                layers.append(BasicBlock(planes, out_planes, step, dtype))
                planes = out_planes
            return nn.Sequential(*layers)

        self.conv1 = nn.Conv2d(in_channels, width, 3, padding=1, bias=False, dtype=dtype)
        self.bn1 = nn.BatchNorm2d(width, dtype=dtype)
        self.layer1 = stage(width, blocks[0], 1)
        self.layer2 = stage(2 * width, blocks[1], 2)
        self.layer3 = stage(4 * width, blocks[2], 2)
        self.layer4 = stage(8 * width, blocks[3], 2)
        self.fc = nn.Linear(8 * width, num_classes, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, in_channels, H, W)."""
        x = torch.relu(self.bn1(self.conv1(input)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(torch.mean(x, (2, 3)))


def resnet10(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: torch.dtype | None = None,
) -> ResNet:
    """Build the ResNet-10 for CIFAR: a 3x3 stem and four stages of one basic block each."""
    return ResNet((1, 1, 1, 1), num_classes, in_channels, width, dtype)


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: torch.dtype | None = None,
) -> ResNet:
    """Build the ResNet-18 for CIFAR: :func:`resnet10` with two basic blocks in each stage."""
    return ResNet((2, 2, 2, 2), num_classes, in_channels, width, dtype)
