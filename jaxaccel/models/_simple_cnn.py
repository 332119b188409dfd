"""The small convolutional network of many tutorials."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.nn import Conv2d, Flatten, Linear, MaxPool2d


class SimpleCNN(nnx.Module):
    """Two convolutions with pools, two linear layers; :func:`simple_cnn` builds it."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        dtype: Any,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        size = image_size // 4  # two pools
        self.conv1 = Conv2d(in_channels, 32, 3, padding=1, dtype=dtype, rngs=rngs)
        self.conv2 = Conv2d(32, 64, 3, padding=1, dtype=dtype, rngs=rngs)
        self.pool = MaxPool2d(2, 2)
        self.flatten = Flatten()
        self.fc1 = Linear(64 * size * size, 256, dtype=dtype, rngs=rngs)
        self.fc2 = Linear(256, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, image_size, image_size, in_channels)."""
        x = self.pool(jax.nn.relu(self.conv1(input)))
        x = self.pool(jax.nn.relu(self.conv2(x)))
        x = jax.nn.relu(self.fc1(self.flatten(x)))
        return self.fc2(x)


@checked
def simple_cnn(
    num_classes: int = 10,
    in_channels: int = 3,
    image_size: int = 32,
    dtype: DType | None = None,
    *,
    rngs: nnx.Rngs | Generator,
) -> SimpleCNN:
    """Build a small convolutional network: two convolutions, two linear layers.

    They have 32 and 64 channels, 256 hidden units and ``num_classes`` outputs.

    Args:
        num_classes: The length of an output.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        image_size: Height and width of an image, 4 or more: 32 for CIFAR, 28 for MNIST.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module: (N, image_size, image_size, in_channels) to (N, num_classes).

    PyTorch:
        The tutorials' network: ``conv1`` (3x3, padding 1), ReLU, 2x2 max pool, the same with
        ``conv2``, flatten channels first, ``fc1``, ReLU, ``fc2``. Channels are last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.simple_cnn(in_channels=1, image_size=28, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 28, 28, 1), jnp.float32)).shape
        (2, 10)
    """
    return SimpleCNN(num_classes, in_channels, image_size, dtype, rngs=rngs)
