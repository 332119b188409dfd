"""jaxaccel's models once more, as a user of flax writes them: flax's own layers and defaults.

The same architectures and sizes as ``jaxaccel.models``: what flax computes otherwise (the variance
as E[x^2] - E[x]^2, one bias in an LSTM, weights of query, key and value apart in a ViT) is flax's
way and stays. ``dtype`` is what layers compute in; parameters are float32.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

import jaxaccel as ja


class MLP(nnx.Module):
    """Linear layers with a ReLU between each two."""

    def __init__(self, features: Sequence[int], dtype: Any, rngs: nnx.Rngs):
        pairs = itertools.pairwise(features)
        self.layers = nnx.List([nnx.Linear(i, o, dtype=dtype, rngs=rngs) for i, o in pairs])

    def __call__(self, x: jax.Array) -> jax.Array:
        *hidden, last = self.layers
        for layer in hidden:
            x = nnx.relu(layer(x))
        return last(x)


# ------------------------------------------------------------------------------------- ResNets


class ConvNorm(nnx.Module):
    """A convolution without bias, and batch normalization."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, dtype: Any, rngs: nnx.Rngs
    ):
        self.conv = nnx.Conv(
            *(inputs, outputs, (kernel, kernel), stride),
            padding=kernel // 2,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = nnx.BatchNorm(outputs, momentum=0.9, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.norm(self.conv(x))


class ResidualBlock(nnx.Module):
    """Two 3x3 convolutions, or a 3x3 one between two 1x1 ones, beside a shortcut."""

    def __init__(
        self, inputs: int, planes: int, stride: int, bottleneck: bool, dtype: Any, rngs: nnx.Rngs
    ):
        make = functools.partial(ConvNorm, dtype=dtype, rngs=rngs)
        outputs = 4 * planes if bottleneck else planes
        if bottleneck:
            layers = [make(inputs, planes, 1, 1), make(planes, planes, 3, stride)]
            layers.append(make(planes, outputs, 1, 1))
        else:
            layers = [make(inputs, planes, 3, stride), make(planes, planes, 3, 1)]
        self.layers = nnx.List(layers)
        stays = stride == 1 and inputs == outputs
        self.shortcut = nnx.data(None) if stays else make(inputs, outputs, 1, stride)

    def __call__(self, x: jax.Array) -> jax.Array:
        around = x if self.shortcut is None else self.shortcut(x)
        *hidden, last = self.layers
        for layer in hidden:
            x = nnx.relu(layer(x))
        return nnx.relu(last(x) + around)


class ResNet(nnx.Module):
    """A stem, four stages of blocks, a mean and a linear layer."""

    def __init__(
        self,
        blocks: Sequence[int],
        width: int,
        num_classes: int,
        dtype: Any,
        rngs: nnx.Rngs,
        *,
        bottleneck: bool = False,
        small_images: bool = True,
    ):
        self.small_images = small_images
        kernel, stride = (3, 1) if small_images else (7, 2)
        self.stem = ConvNorm(3, width, kernel, stride, dtype, rngs)
        made, inputs = [], width
        for stage, count in enumerate(blocks):
            planes = width * 2**stage
            for index in range(count):
                stride = 2 if stage and not index else 1
                made.append(ResidualBlock(inputs, planes, stride, bottleneck, dtype, rngs))
                inputs = 4 * planes if bottleneck else planes
        self.blocks = nnx.List(made)
        self.head = nnx.Linear(inputs, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.relu(self.stem(x))
        if not self.small_images:
            x = nnx.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.head(jnp.mean(x, (1, 2)))


# -------------------------------------------------------------------------------- transformers


class GPTBlock(nnx.Module):
    """Causal attention and a network, each behind a norm and beside a residual."""

    def __init__(self, config: ja.models.GPTConfig, dtype: Any, rngs: nnx.Rngs):
        width, self.heads = config.n_embd, config.n_head
        linear = functools.partial(nnx.Linear, dtype=dtype, rngs=rngs)
        norm = functools.partial(nnx.LayerNorm, width, epsilon=1e-5, dtype=dtype, rngs=rngs)
        self.norm1, self.norm2 = norm(), norm()
        self.attention, self.projection = linear(width, 3 * width), linear(width, width)
        self.widen, self.narrow = linear(width, 4 * width), linear(4 * width, width)

    def __call__(self, x: jax.Array) -> jax.Array:
        heads = (*x.shape[:2], self.heads, -1)
        parts = jnp.split(self.attention(self.norm1(x)), 3, -1)
        query, key, value = (part.reshape(heads) for part in parts)
        attended = nnx.dot_product_attention(query, key, value, is_causal=True)
        x = x + self.projection(attended.reshape(x.shape))
        return x + self.narrow(nnx.gelu(self.widen(self.norm2(x))))


class GPT(nnx.Module):
    """A transformer that predicts tokens; the logits are products with the embeddings."""

    def __init__(self, config: ja.models.GPTConfig, dtype: Any, rngs: nnx.Rngs):
        embed = functools.partial(nnx.Embed, features=config.n_embd, dtype=dtype, rngs=rngs)
        self.tokens, self.positions = embed(config.vocab_size), embed(config.block_size)
        self.blocks = nnx.List([GPTBlock(config, dtype, rngs) for _ in range(config.n_layer)])
        self.norm = nnx.LayerNorm(config.n_embd, epsilon=1e-5, dtype=dtype, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x = self.tokens(tokens) + self.positions(jnp.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.tokens.attend(self.norm(x))


class EncoderLayer(nnx.Module):
    """Attention and a network, each behind a norm and beside a residual."""

    def __init__(self, width: int, heads: int, dtype: Any, rngs: nnx.Rngs):
        norm = functools.partial(nnx.LayerNorm, width, epsilon=1e-6, dtype=dtype, rngs=rngs)
        self.norm1, self.norm2 = norm(), norm()
        self.attention = nnx.MultiHeadAttention(heads, width, decode=False, dtype=dtype, rngs=rngs)
        self.widen = nnx.Linear(width, 4 * width, dtype=dtype, rngs=rngs)
        self.narrow = nnx.Linear(4 * width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.attention(self.norm1(x))
        return x + self.narrow(nnx.gelu(self.widen(self.norm2(x)), approximate=False))


class ViT(nnx.Module):
    """An encoder over the patches of an image and a class token."""

    def __init__(
        self,
        image: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        num_classes: int,
        dtype: Any,
        rngs: nnx.Rngs,
    ):
        tokens = 1 + (image // patch) ** 2
        draw = nnx.initializers.truncated_normal(0.02)
        self.class_token = nnx.Param(draw(rngs.params(), (1, 1, width)))
        self.positions = nnx.Param(draw(rngs.params(), (1, tokens, width)))
        self.patches = nnx.Conv(
            3, width, (patch, patch), patch, padding="VALID", dtype=dtype, rngs=rngs
        )
        self.layers = nnx.List([EncoderLayer(width, heads, dtype, rngs) for _ in range(depth)])
        self.norm = nnx.LayerNorm(width, epsilon=1e-6, dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(width, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        patches = self.patches(x)
        patches = patches.reshape(patches.shape[0], -1, patches.shape[-1])
        token = self.class_token.astype(patches.dtype)
        token = jnp.broadcast_to(token, (patches.shape[0], *token.shape[1:]))
        x = jnp.concatenate([token, patches], 1) + self.positions.astype(patches.dtype)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x)[:, 0])


# ------------------------------------------------------------------------------------ recurrent


class LSTMClassifier(nnx.Module):
    """An LSTM, and a linear layer on its last output."""

    def __init__(self, inputs: int, hidden: int, num_classes: int, dtype: Any, rngs: nnx.Rngs):
        cell = nnx.OptimizedLSTMCell(inputs, hidden, dtype=dtype, rngs=rngs)
        self.rnn = nnx.RNN(cell, rngs=rngs)
        self.head = nnx.Linear(hidden, num_classes, dtype=dtype, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.rnn(x)[:, -1])
