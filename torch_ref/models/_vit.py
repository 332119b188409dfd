"""The vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class VisionTransformer(nn.Module):
    """An encoder over the patches of an image and a class token; :func:`vit_tiny` builds it."""

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        dtype: torch.dtype | None,
    ):
        super().__init__()
        if image_size % patch_size != 0:
            raise ValueError(
                f"Input shape indivisible by patch size: image_size={image_size}, "
                f"patch_size={patch_size}"
            )
        self.image_size = image_size
        tokens = 1 + (image_size // patch_size) ** 2
        token, positions = (torch.empty(1, count, width, dtype=dtype) for count in (1, tokens))
        self.class_token = nn.Parameter(nn.init.trunc_normal_(token, std=0.02))
        self.pos_embedding = nn.Parameter(nn.init.trunc_normal_(positions, std=0.02))
        self.conv_proj = nn.Conv2d(in_channels, width, patch_size, stride=patch_size, dtype=dtype)
        options = {"batch_first": True, "norm_first": True, "layer_norm_eps": 1e-6}
        self.layers = nn.ModuleList(
            [
                nn.TransformerEncoderLayer(
                    *(width, heads, 4 * width, 0.0, "gelu"), dtype=dtype, **options
                )
                for _ in range(depth)
            ]
        )
        self.norm = nn.LayerNorm(width, 1e-6, dtype=dtype)
        self.head = nn.Linear(width, num_classes, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, num_classes) for (N, in_channels, image_size, image_size)."""
        if input.shape[2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"Wrong image size! Expected {self.image_size}x{self.image_size} but got "
                f"{input.shape[2]}x{input.shape[3]}"
            )
        patches = self.conv_proj(input).flatten(2).transpose(1, 2)
        token = self.class_token.expand(len(patches), -1, -1)
        x = torch.cat([token, patches], 1) + self.pos_embedding
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


def vit_tiny(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: int = 224,
    patch_size: int = 16,
    width: int = 192,
    depth: int = 12,
    heads: int = 3,
    dtype: torch.dtype | None = None,
) -> VisionTransformer:
    """Build the vision transformer ViT-Ti/16: an encoder over 16x16 patches of an image."""
    return VisionTransformer(
        num_classes, in_channels, image_size, patch_size, width, depth, heads, dtype
    )
