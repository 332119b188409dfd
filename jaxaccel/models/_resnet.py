"""Residual networks for small images."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import AxisName, Generator
from jaxaccel.nn import BatchNorm2d, Conv2d, Linear


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(
        self,
        in_planes: int,
        planes: int,
        stride: int,
        dtype: Any,
        axis_name: AxisName | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        def conv(inputs: int, kernel_size: int, stride: int, padding: int) -> Conv2d:
            return Conv2d(
                inputs, planes, kernel_size, stride, padding, bias=False, dtype=dtype, rngs=rngs
            )

        def norm() -> BatchNorm2d:
            return BatchNorm2d(planes, dtype=dtype, axis_name=axis_name)

        self.conv1 = conv(in_planes, 3, stride, 1)
        self.bn1 = norm()
        self.conv2 = conv(planes, 3, 1, 1)
        self.bn2 = norm()
        self.downsample: nnx.List | None = nnx.data(None)
        if stride != 1 or in_planes != planes:
            self.downsample = nnx.List([conv(in_planes, 1, stride, 0), norm()])

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, H / stride, W / stride, planes)."""
        shortcut = input
        if self.downsample is not None:
            for layer in self.downsample:
                shortcut = layer(shortcut)
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        x = self.bn2(self.conv2(x))
        return jax.nn.relu(x + shortcut)


class ResNet(nnx.Module):
    """A stem, four stages of basic blocks, a mean and a linear layer."""

    def __init__(
        self,
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int,
        width: int,
        dtype: Any,
        axis_name: AxisName | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        planes = width

        def stage(out_planes: int, count: int, stride: int) -> nnx.List:
            nonlocal planes
            layers = []
            for index in range(count):
                step = stride if index == 0 else 1
                layers.append(BasicBlock(planes, out_planes, step, dtype, axis_name, rngs=rngs))
                planes = out_planes
            return nnx.List(layers)

        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm2d(width, dtype=dtype, axis_name=axis_name)
        self.layer1 = stage(width, blocks[0], 1)
        self.layer2 = stage(2 * width, blocks[1], 2)
        self.layer3 = stage(4 * width, blocks[2], 2)
        self.layer4 = stage(8 * width, blocks[3], 2)
        self.fc = Linear(8 * width, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, H, W, in_channels)."""
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x)
        return self.fc(jnp.mean(x, (1, 2)))


def resnet10(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: Any = None,
    *,
    axis_name: AxisName | None = None,
    rngs: nnx.Rngs | Generator,
) -> ResNet:
    """Build the ResNet-10 for CIFAR: a 3x3 stem and four stages of one basic block each.

    Stage widths are ``width`` times 1, 2, 4 and 8, strides 1, 2, 2 and 2. Where the shape changes,
    the shortcut is a 1x1 convolution with batch normalization.

    Args:
        num_classes: The length of an output.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        width: Channels of the first stage.
        dtype: Of parameters and running statistics, and so of the input; None for float32.
        axis_name: A mapped axis over which the batch is spread: batch normalization then uses the
            statistics of the whole batch (:class:`jaxaccel.nn.BatchNorm2d`).
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module in training mode: (N, H, W, in_channels) to (N, num_classes), for any height
        and width.

    PyTorch:
        ``torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1])`` with the CIFAR stem: ``conv1`` is
        3x3 with stride 1, and there is no max pool. The names are torchvision's. The weights
        are PyTorch's layer defaults (torchvision draws ``kaiming_normal`` with fan_out). Channels
        are last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.resnet10(in_channels=1, width=4, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28, 1), jnp.float32)).shape
        (2, 10)

    References:
        He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. 2015.
        https://arxiv.org/abs/1512.03385
    """
    blocks = (1, 1, 1, 1)
    return ResNet(blocks, num_classes, in_channels, width, dtype, axis_name, rngs=rngs)


def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: Any = None,
    *,
    axis_name: AxisName | None = None,
    rngs: nnx.Rngs | Generator,
) -> ResNet:
    """Build the ResNet-18 for CIFAR: :func:`resnet10` with two basic blocks in each stage.

    Args:
        num_classes: The length of an output.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        width: Channels of the first stage.
        dtype: Of parameters and running statistics, and so of the input; None for float32.
        axis_name: A mapped axis over which the batch is spread: batch normalization then uses the
            statistics of the whole batch (:class:`jaxaccel.nn.BatchNorm2d`).
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module in training mode: (N, H, W, in_channels) to (N, num_classes), for any height
        and width.

    PyTorch:
        ``torchvision.models.resnet18`` with the CIFAR stem: ``conv1`` is 3x3 with stride 1, and
        there is no max pool. The names are torchvision's. The weights are PyTorch's layer defaults
        (torchvision draws ``kaiming_normal`` with fan_out). Channels are last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.resnet18(in_channels=1, width=4, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28, 1), jnp.float32)).shape
        (2, 10)

    References:
        He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. 2015.
        https://arxiv.org/abs/1512.03385
    """
    blocks = (2, 2, 2, 2)
    return ResNet(blocks, num_classes, in_channels, width, dtype, axis_name, rngs=rngs)
