"""Residual networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_ref.models._residual_blocks import BasicBlock, Bottleneck, Factory


class ResNet(nn.Module):
    """A stem, four stages of blocks, a mean and a linear layer."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int,
        width: int,
        small_images: bool,
        make: Factory,
    ):
        super().__init__()
        planes = width

        def stage(stage_planes: int, count: int, stride: int) -> nn.Sequential:
            nonlocal planes
            layers = []
            for index in range(count):
                layers.append(block(planes, stage_planes, stride if index == 0 else 1, make))
                planes = block.expansion * stage_planes
            return nn.Sequential(*layers)

        stem = (3, 1) if small_images else (7, 2)
        self.conv1 = make.conv(in_channels, width, *stem)
        self.bn1 = make.norm(width)
        self.maxpool = None if small_images else nn.MaxPool2d(3, 2, 1)
        self.layer1 = stage(width, blocks[0], 1)
        self.layer2 = stage(2 * width, blocks[1], 2)
        self.layer3 = stage(4 * width, blocks[2], 2)
        self.layer4 = stage(8 * width, blocks[3], 2)
        self.fc = nn.Linear(planes, num_classes, dtype=make.dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, in_channels, H, W)."""
        x = torch.relu(self.bn1(self.conv1(input)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(torch.mean(x, (2, 3)))


def resnet10(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: torch.dtype | None = None,
    *,
    small_images: bool = True,
) -> ResNet:
    """Build the ResNet-10 for CIFAR: a 3x3 stem and four stages of one basic block each."""
    blocks, make = (1, 1, 1, 1), Factory(dtype)
    return ResNet(BasicBlock, blocks, num_classes, in_channels, width, small_images, make)


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: torch.dtype | None = None,
    *,
    small_images: bool = True,
) -> ResNet:
    """Build the ResNet-18 for CIFAR: :func:`resnet10` with two basic blocks in each stage."""
    blocks, make = (2, 2, 2, 2), Factory(dtype)
    return ResNet(BasicBlock, blocks, num_classes, in_channels, width, small_images, make)


def resnet50(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: int = 64,
    dtype: torch.dtype | None = None,
    *,
    small_images: bool = False,
) -> ResNet:
    """Build the ResNet-50 for ImageNet: stages of 3, 4, 6 and 3 bottleneck blocks."""
    blocks, make = (3, 4, 6, 3), Factory(dtype)
    return ResNet(Bottleneck, blocks, num_classes, in_channels, width, small_images, make)
