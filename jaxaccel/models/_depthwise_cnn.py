"""A small network of depthwise separable convolutions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import AxisName, DType, Generator
from jaxaccel.nn import BatchNorm2d, Conv2d, Linear

STAGES = ((2, 1), (4, 2), (4, 1), (8, 2), (8, 1))
"""Of each block: its channels, as a multiple of the first ones, and its stride."""


class SeparableBlock(nnx.Module):
    """A 3x3 convolution of each channel alone, then a 1x1 convolution that mixes them."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        dtype: Any,
        axis_name: AxisName | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.depthwise = Conv2d(
            *(inputs, inputs, 3, stride, 1), groups=inputs, bias=False, dtype=dtype, rngs=rngs
        )
        self.bn1 = BatchNorm2d(inputs, dtype=dtype, axis_name=axis_name)
        self.pointwise = Conv2d(inputs, outputs, 1, bias=False, dtype=dtype, rngs=rngs)
        self.bn2 = BatchNorm2d(outputs, dtype=dtype, axis_name=axis_name)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, H / stride, W / stride, outputs)."""
        x = jax.nn.relu(self.bn1(self.depthwise(input)))
        return jax.nn.relu(self.bn2(self.pointwise(x)))


class DepthwiseCNN(nnx.Module):
    """A stem, separable blocks, a mean and a linear layer; :func:`depthwise_cnn` builds it."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        width: int,
        dtype: Any,
        axis_name: AxisName | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm2d(width, dtype=dtype, axis_name=axis_name)
        blocks, channels = [], width
        for multiple, stride in STAGES:
            outputs = multiple * width
            blocks.append(SeparableBlock(channels, outputs, stride, dtype, axis_name, rngs=rngs))
            channels = outputs
        self.layers = nnx.List(blocks)
        self.fc = Linear(channels, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, H, W, in_channels)."""
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        for layer in self.layers:
            x = layer(x)
        return self.fc(jnp.mean(x, (1, 2)))


@checked
def depthwise_cnn(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 32,
    dtype: DType | None = None,
    *,
    axis_name: AxisName | None = None,
    rngs: nnx.Rngs | Generator,
) -> DepthwiseCNN:
    """Build a small MobileNet for CIFAR: a 3x3 stem and five depthwise separable convolutions.

    Each is a 3x3 convolution of every channel by itself and a 1x1 convolution across channels, with
    batch normalization and ReLU after both. Their widths are ``width`` times 2, 4, 4, 8 and 8,
    their strides 1, 2, 1, 2 and 1.

    Args:
        num_classes: The length of an output.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        width: Channels of the stem.
        dtype: Of parameters and running statistics, and so of the input; None for float32.
        axis_name: A mapped axis over which the batch is spread: batch normalization then uses the
            statistics of the whole batch (:class:`jaxaccel.nn.BatchNorm2d`).
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module in training mode: (N, H, W, in_channels) to (N, num_classes), for any height
        and width.

    PyTorch:
        ``nn.Conv2d(C, C, 3, groups=C)`` and ``nn.Conv2d(C, D, 1)`` with ``nn.BatchNorm2d``, as in
        MobileNet's tutorials. Channels are last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.depthwise_cnn(in_channels=1, width=4, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28, 1), jnp.float32)).shape
        (2, 10)

    References:
        Howard et al. MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
        Applications. 2017. https://arxiv.org/abs/1704.04861
    """
    return DepthwiseCNN(num_classes, in_channels, width, dtype, axis_name, rngs=rngs)
