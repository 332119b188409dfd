"""What a GPT is made of."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.functional import scaled_dot_product_attention
from jaxaccel.models._gpt_config import GPTConfig
from jaxaccel.nn import GELU, Dropout, LayerNorm, Linear


class CausalSelfAttention(nnx.Module):
    """Attention of each position to itself and to those before it."""

    def __init__(self, config: GPTConfig, dtype: Any, *, rngs: nnx.Rngs | Generator):
        width = config.n_embd
        if width % config.n_head != 0:
            raise ValueError(
                f"n_embd must be divisible by n_head, but got n_embd={width}, "
                f"n_head={config.n_head}"
            )
        self.c_attn = Linear(width, 3 * width, config.bias, dtype, rngs=rngs)
        self.c_proj = Linear(width, width, config.bias, dtype, rngs=rngs)
        self.attn_dropout = Dropout(config.dropout, rngs=rngs)
        self.resid_dropout = Dropout(config.dropout, rngs=rngs)
        self.n_head = config.n_head

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, of the input's shape."""
        heads = (*input.shape[:2], self.n_head, -1)
        query, key, value = (
            jnp.swapaxes(x.reshape(heads), 1, 2) for x in jnp.split(self.c_attn(input), 3, -1)
        )
        dropout = self.attn_dropout
        p, mask_key = 0.0 if dropout.deterministic else dropout.p, dropout.mask_key()
        x = scaled_dot_product_attention(
            query, key, value, dropout_p=p, is_causal=True, dropout_key=mask_key
        )
        return self.resid_dropout(self.c_proj(jnp.swapaxes(x, 1, 2).reshape(input.shape)))


class FeedForward(nnx.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, config: GPTConfig, dtype: Any, *, rngs: nnx.Rngs | Generator):
        width = config.n_embd
        self.c_fc = Linear(width, 4 * width, config.bias, dtype, rngs=rngs)
        self.c_proj = Linear(4 * width, width, config.bias, dtype, rngs=rngs)
        self.gelu = GELU(config.approximate)
        self.dropout = Dropout(config.dropout, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, of the input's shape."""
        x = self.gelu(self.c_fc(input))
        return self.dropout(self.c_proj(x))


class Block(nnx.Module):
    """Attention and a network, each behind a norm and beside a residual."""

    def __init__(self, config: GPTConfig, dtype: Any, *, rngs: nnx.Rngs | Generator):
        self.ln_1 = LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)
        self.attn = CausalSelfAttention(config, dtype, rngs=rngs)
        self.ln_2 = LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)
        self.mlp = FeedForward(config, dtype, rngs=rngs)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, of the input's shape."""
        x = input + self.attn(self.ln_1(input))
        return x + self.mlp(self.ln_2(x))

    def linear_layers(self) -> tuple[Linear, ...]:
        """Return the linear layers, in order."""
        return self.attn.c_attn, self.attn.c_proj, self.mlp.c_fc, self.mlp.c_proj
