"""What a GPT is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GPTConfig(NamedTuple):
    """The shape of a :func:`gpt`; the defaults are GPT-2 with 124 million parameters."""

    block_size: int = 1024
    """The length of the longest sequence."""
    vocab_size: int = 50304
    """How many tokens there are: GPT-2's 50257, filled up to a multiple of 64."""
    n_layer: int = 12
    """How many blocks there are."""
    n_head: int = 12
    """The number of heads of attention, a divisor of ``n_embd``."""
    n_embd: int = 768
    """The length of a token's vector."""
    dropout: float = 0.0
    """The probability of every dropout: of embeddings, attention weights and both branches."""
    bias: bool = True
    """Whether linear layers and norms have biases."""
    approximate: str = "tanh"
    """The GELU: ``"tanh"``, the approximation of GPT-2, or ``"none"``, exact, that of nanoGPT."""


class CausalSelfAttention(nn.Module):
    """Attention of each position to itself and to those before it."""

    def __init__(self, config: GPTConfig, dtype: torch.dtype | None):
        super().__init__()
        width = config.n_embd
        if width % config.n_head != 0:
            raise ValueError(
                f"n_embd must be divisible by n_head, but got n_embd={width}, "
                f"n_head={config.n_head}"
            )
        self.c_attn = nn.Linear(width, 3 * width, config.bias, dtype=dtype)
        self.c_proj = nn.Linear(width, width, config.bias, dtype=dtype)
        self.attn_dropout = nn.Dropout(config.dropout)
        self.resid_dropout = nn.Dropout(config.dropout)
        self.n_head = config.n_head

    def forward(self, input: Tensor) -> Tensor:
        """Return the output, of the input's shape."""
        heads = (*input.shape[:2], self.n_head, -1)
        query, key, value = (
            x.view(heads).transpose(1, 2) for x in self.c_attn(input).split(input.shape[-1], -1)
        )
        p = self.attn_dropout.p if self.training else 0.0
        x = F.scaled_dot_product_attention(query, key, value, dropout_p=p, is_causal=True)
        return self.resid_dropout(self.c_proj(x.transpose(1, 2).reshape(input.shape)))


class FeedForward(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, config: GPTConfig, dtype: torch.dtype | None):
        super().__init__()
        width = config.n_embd
        self.c_fc = nn.Linear(width, 4 * width, config.bias, dtype=dtype)
        self.c_proj = nn.Linear(4 * width, width, config.bias, dtype=dtype)
        self.dropout = nn.Dropout(config.dropout)
        self.gelu = nn.GELU(config.approximate)

    def forward(self, input: Tensor) -> Tensor:
        """Return the output, of the input's shape."""
        x = self.gelu(self.c_fc(input))
        return self.dropout(self.c_proj(x))


class Block(nn.Module):
    """Attention and a network, each behind a norm and beside a residual."""

    def __init__(self, config: GPTConfig, dtype: torch.dtype | None):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)
        self.attn = CausalSelfAttention(config, dtype)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)
        self.mlp = FeedForward(config, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return the output, of the input's shape."""
        x = input + self.attn(self.ln_1(input))
        return x + self.mlp(self.ln_2(x))
