"""What residual networks are made of."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from flax import nnx

from jaxaccel._types import AxisName, Generator
from jaxaccel.nn import BatchNorm2d, Conv2d


class Factory(NamedTuple):
    """Makes convolutions without bias, and norms, of one dtype from one source of numbers."""

    dtype: Any
    axis_name: AxisName | None
    rngs: nnx.Rngs | Generator

    def conv(self, inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> Conv2d:
        """Make a convolution that keeps the size of an image, but for its stride."""
        padding = kernel_size // 2
        return Conv2d(
            *(inputs, outputs, kernel_size, stride, padding),
            bias=False,
            dtype=self.dtype,
            rngs=self.rngs,
        )

    def norm(self, channels: int) -> BatchNorm2d:
        """Make a batch normalization."""
        return BatchNorm2d(channels, dtype=self.dtype, axis_name=self.axis_name)

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nnx.List | None:
        """Make the way around a block: nothing where the shape stays."""
        if stride == 1 and inputs == outputs:
            return nnx.data(None)
        return nnx.List([self.conv(inputs, outputs, 1, stride), self.norm(outputs)])


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_planes: int, planes: int, stride: int, make: Factory):
        self.conv1 = make.conv(in_planes, planes, 3, stride)
        self.bn1 = make.norm(planes)
        self.conv2 = make.conv(planes, planes, 3)
        self.bn2 = make.norm(planes)
        self.downsample = make.shortcut(in_planes, planes, stride)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, H / stride, W / stride, planes)."""
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return jax.nn.relu(x + _around(self.downsample, input))


class Bottleneck(nnx.Module):
    """A 3x3 convolution between two 1x1 ones that narrow and widen, beside a shortcut."""

    expansion = 4

    def __init__(self, in_planes: int, planes: int, stride: int, make: Factory):
        out_planes = self.expansion * planes
        self.conv1 = make.conv(in_planes, planes, 1)
        self.bn1 = make.norm(planes)
        self.conv2 = make.conv(planes, planes, 3, stride)
        self.bn2 = make.norm(planes)
        self.conv3 = make.conv(planes, out_planes, 1)
        self.bn3 = make.norm(out_planes)
        self.downsample = make.shortcut(in_planes, out_planes, stride)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, H / stride, W / stride, 4 * planes)."""
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        x = jax.nn.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return jax.nn.relu(x + _around(self.downsample, input))


def _around(downsample: nnx.List | None, x: jax.Array) -> jax.Array:
    """Return what a block's input contributes to its output."""
    for layer in downsample or ():
        x = layer(x)
    return x
