"""Residual networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import AxisName, DType, Generator
from jaxaccel.models._checkpointed import Checkpoint, checkpointed
from jaxaccel.models._residual_blocks import BasicBlock, Bottleneck, Factory
from jaxaccel.nn import Linear, MaxPool2d


class ResNet(nnx.Module):
    """A stem, four stages of blocks, a mean and a linear layer."""

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, int, int, int],
        num_classes: int,
        in_channels: int,
        width: int,
        small_images: bool,
        checkpoint: Checkpoint | None,
        make: Factory,
    ):
        self.checkpoint = checkpoint
        planes = width

        def stage(stage_planes: int, count: int, stride: int) -> nnx.List:
            nonlocal planes
            layers = []
            for index in range(count):
                layers.append(block(planes, stage_planes, stride if index == 0 else 1, make))
                planes = block.expansion * stage_planes
            return nnx.List(layers)

        stem = (3, 1) if small_images else (7, 2)
        self.conv1 = make.conv(in_channels, width, *stem)
        self.bn1 = make.norm(width)
        self.maxpool: MaxPool2d | None = nnx.data(None) if small_images else MaxPool2d(3, 2, 1)
        self.layer1 = stage(width, blocks[0], 1)
        self.layer2 = stage(2 * width, blocks[1], 2)
        self.layer3 = stage(4 * width, blocks[2], 2)
        self.layer4 = stage(8 * width, blocks[3], 2)
        self.fc = Linear(planes, num_classes, dtype=make.dtype, rngs=make.rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, H, W, in_channels)."""
        x = jax.nn.relu(self.bn1(self.conv1(input)))
        if self.maxpool is not None:
            x = self.maxpool(x)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = checkpointed(self.checkpoint, block)(x)
        return self.fc(jnp.mean(x, (1, 2)))


@checked
def resnet10(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: DType | None = None,
    *,
    small_images: bool = True,
    axis_name: AxisName | None = None,
    checkpoint: Checkpoint | None = None,
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
        small_images: Whether the stem is a 3x3 convolution with stride 1; otherwise it is a 7x7 one
            with stride 2 and a 3x3 max pool with stride 2, for images of some 224 pixels.
        axis_name: A mapped axis over which the batch is spread: batch normalization then uses the
            statistics of the whole batch (:class:`jaxaccel.nn.BatchNorm2d`).
        checkpoint: A function from a block to what is called in its place, such as
            :func:`jaxaccel.memory.checkpoint`: the backward pass then computes each block again.
        rngs: Draws the weights from PyTorch's default distribution: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module in training mode: (N, H, W, in_channels) to (N, num_classes), for any height
        and width.

    PyTorch:
        ``torchvision.models.ResNet(BasicBlock, [1, 1, 1, 1])``, with the CIFAR stem unless
        ``small_images=False``. The names are torchvision's. The weights are PyTorch's layer
        defaults (torchvision draws ``kaiming_normal`` with fan_out). Channels are last here.

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
    make = Factory(dtype, axis_name, rngs)
    return ResNet(
        BasicBlock, blocks, num_classes, in_channels, width, small_images, checkpoint, make
    )


@checked
def resnet18(
    num_classes: int = 10,
    in_channels: int = 3,
    width: int = 64,
    dtype: DType | None = None,
    *,
    small_images: bool = True,
    axis_name: AxisName | None = None,
    checkpoint: Checkpoint | None = None,
    rngs: nnx.Rngs | Generator,
) -> ResNet:
    """Build the ResNet-18 for CIFAR: :func:`resnet10` with two basic blocks in each stage.

    Args:
        as :func:`resnet10`.

    Returns:
        as :func:`resnet10`.

    PyTorch:
        ``torchvision.models.resnet18``, with the CIFAR stem unless ``small_images=False``. The
        names are torchvision's, so that its checkpoints load. The weights are PyTorch's layer
        defaults (torchvision draws ``kaiming_normal`` with fan_out). Channels are last here.

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
    make = Factory(dtype, axis_name, rngs)
    return ResNet(
        BasicBlock, blocks, num_classes, in_channels, width, small_images, checkpoint, make
    )


@checked
def resnet50(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: int = 64,
    dtype: DType | None = None,
    *,
    small_images: bool = False,
    axis_name: AxisName | None = None,
    checkpoint: Checkpoint | None = None,
    rngs: nnx.Rngs | Generator,
) -> ResNet:
    """Build the ResNet-50 for ImageNet: stages of 3, 4, 6 and 3 bottleneck blocks.

    Stage widths are ``width`` times 1, 2, 4 and 8, and four times that between the blocks; strides
    are 1, 2, 2 and 2, each in the 3x3 convolution of a stage's first block (version 1.5).

    Args:
        as :func:`resnet10`.

    Returns:
        as :func:`resnet10`.

    PyTorch:
        ``torchvision.models.resnet50``: the same network and names, so that its checkpoints load.
        The weights are PyTorch's layer defaults (torchvision draws ``kaiming_normal`` with
        fan_out). Channels are last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> images = jnp.ones((2, 64, 64, 3), jnp.float32)
        >>> build = lambda: ja.models.resnet50(rngs=nnx.Rngs(0))
        >>> nnx.eval_shape(lambda: build()(images)).shape  # no weights, no arithmetic
        (2, 1000)

    References:
        He, Zhang, Ren, Sun. Deep Residual Learning for Image Recognition. 2015.
        https://arxiv.org/abs/1512.03385
    """
    blocks = (3, 4, 6, 3)
    make = Factory(dtype, axis_name, rngs)
    return ResNet(
        Bottleneck, blocks, num_classes, in_channels, width, small_images, checkpoint, make
    )
