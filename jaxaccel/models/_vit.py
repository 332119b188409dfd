"""The vision transformer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._gradient import with_float32_sums
from jaxaccel._types import DType, Generator
from jaxaccel.init import trunc_normal
from jaxaccel.models._checkpointed import Checkpoint, checkpointed
from jaxaccel.nn import (
    Conv2d,
    LayerNorm,
    Linear,
    StackedLayers,
    TransformerEncoderLayer,
    params_key,
)


class VisionTransformer(nnx.Module):
    """An encoder over the patches of an image and a class token; :func:`vit_tiny` builds it."""

    torch_transposed = ()

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        dtype: Any,
        scan_layers: bool,
        checkpoint: Checkpoint | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if min(image_size, patch_size) < 1:
            raise ValueError(
                f"image_size and patch_size must be at least 1, got image_size={image_size}, "
                f"patch_size={patch_size}"
            )
        if image_size % patch_size != 0:
            raise ValueError(
                f"Input shape indivisible by patch size: image_size={image_size}, "
                f"patch_size={patch_size}"
            )
        self.image_size = image_size
        tokens = 1 + (image_size // patch_size) ** 2
        draw, own = trunc_normal(std=0.02, layout="torch"), jnp.float32 if dtype is None else dtype
        self.class_token = nnx.Param(draw(params_key(rngs), (1, 1, width), own))
        self.pos_embedding = nnx.Param(draw(params_key(rngs), (1, tokens, width), own))
        self.conv_proj = Conv2d(
            in_channels, width, patch_size, stride=patch_size, dtype=dtype, rngs=rngs
        )
        options = {"batch_first": True, "norm_first": True, "layer_norm_eps": 1e-6}
        layers = [
            TransformerEncoderLayer(
                *(width, heads, 4 * width, 0.0, "gelu"), dtype=dtype, rngs=rngs, **options
            )
            for _ in range(depth)
        ]
        self.checkpoint = checkpoint
        self.layers = StackedLayers(layers, checkpoint) if scan_layers else nnx.List(layers)
        self.norm = LayerNorm(width, 1e-6, dtype=dtype)
        self.head = Linear(width, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return (N, num_classes) for (N, image_size, image_size, in_channels)."""
        if input.shape[1:3] != (self.image_size, self.image_size):
            raise ValueError(
                f"Wrong image size! Expected {self.image_size}x{self.image_size} but got "
                f"{input.shape[1]}x{input.shape[2]}"
            )
        patches = self.conv_proj(input)
        patches = patches.reshape(patches.shape[0], -1, patches.shape[-1])
        token = with_float32_sums(self.class_token[...], patches[:, :1])
        token = jnp.broadcast_to(token, (patches.shape[0], *token.shape[1:]))
        x = jnp.concatenate([token, patches], 1)
        x = x + with_float32_sums(self.pos_embedding[...], x)
        if isinstance(self.layers, StackedLayers):
            return self.head(self.norm(self.layers(x))[:, 0])
        for layer in self.layers:
            x = checkpointed(self.checkpoint, layer)(x)
        return self.head(self.norm(x)[:, 0])


@checked
def vit_tiny(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    patch_size: int = 16,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    dtype: DType | None = None,
    *,
    scan_layers: bool = False,
    checkpoint: Checkpoint | None = None,
    rngs: nnx.Rngs | Generator,
) -> VisionTransformer:
    """Build the vision transformer ViT-Ti/16: an encoder over 16x16 patches of an image.

    A class token stands in front of the patches, all have learned positions, the encoder has its
    norms in front of attention and network (which is four times as wide, with the exact GELU), and
    a linear layer reads the class token.

    Args:
        num_classes: The length of an output.
        in_channels: Channels of an image: 3 for colours, 1 for grey.
        image_size: Height and width of an image, a multiple of ``patch_size``.
        patch_size: Height and width of a patch.
        width: The length of a patch's vector.
        depth: How many encoder layers there are.
        heads: The number of heads of attention, a divisor of ``width``.
        dtype: Of the parameters and so of the input; None for float32.
        scan_layers: As of :func:`gpt`.
        checkpoint: As of :func:`gpt`.
        rngs: Draws token and positions from a truncated normal with a standard deviation of 0.02,
            then the layers from PyTorch's default distributions: the ``params`` stream of an
            ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        An nnx module: (N, image_size, image_size, in_channels) to (N, num_classes).

    Raises:
        ValueError: ``image_size`` is not a multiple of ``patch_size``, or ``width`` not one of
            ``heads``; from a call, an image of another size.

    PyTorch:
        ``nn.Conv2d`` as the patch embedding, ``nn.TransformerEncoderLayer(norm_first=True,
        activation="gelu", batch_first=True)``, each layer with weights of its own, and
        ``nn.LayerNorm``, all norms with the eps of 1e-6 that vision transformers have. Channels are
        last here.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> model = ja.models.vit_tiny(10, 1, 8, 4, 12, 2, rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 8, 8, 1), jnp.float32)).shape
        (2, 10)

    References:
        Dosovitskiy et al. An Image is Worth 16x16 Words: Transformers for Image Recognition at
        Scale. 2020. https://arxiv.org/abs/2010.11929

        Touvron et al. Training data-efficient image transformers & distillation through attention.
        2020. https://arxiv.org/abs/2012.12877
    """
    return VisionTransformer(
        *(num_classes, in_channels, image_size, patch_size, width, depth, heads, dtype),
        *(scan_layers, checkpoint),
        rngs=rngs,
    )
