"""The language model GPT-2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torch_ref.models._gpt_block import Block, GPTConfig


class Transformer(nn.Module):
    """Embeddings, blocks and a norm: integers (N, L) to (N, L, n_embd)."""

    def __init__(self, config: GPTConfig, dtype: torch.dtype | None):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd, dtype=dtype)
        self.wpe = nn.Embedding(config.block_size, config.n_embd, dtype=dtype)
        self.drop = nn.Dropout(config.dropout)
        self.h = nn.ModuleList([Block(config, dtype) for _ in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)

    def forward(self, input: Tensor) -> Tensor:
        """Return the vectors that predict the next tokens."""
        positions = self.wpe(torch.arange(input.shape[1]))
        x = self.drop(self.wte(input) + positions)
        for block in self.h:
            x = block(x)
        return self.ln_f(x)


class GPT(nn.Module):
    """A transformer that predicts tokens; :func:`gpt` builds it."""

    def __init__(self, config: GPTConfig, dtype: torch.dtype | None):
        super().__init__()
        self.config = config
        self.transformer = Transformer(config, dtype)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False, dtype=dtype)
        self.transformer.wte.weight = self.lm_head.weight
        self.apply(_initialize)
        scaled = 0.02 / (2 * config.n_layer) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                nn.init.normal_(parameter, std=scaled)

    def forward(self, input: Tensor) -> Tensor:
        """Return the logits of each next token, (N, L, vocab_size), for integers (N, L)."""
        if input.shape[1] > self.config.block_size:
            raise ValueError(
                f"Cannot forward sequence of length {input.shape[1]}, block size is only "
                f"{self.config.block_size}"
            )
        return self.lm_head(self.transformer(input))


def gpt(config: GPTConfig, dtype: torch.dtype | None = None) -> GPT:
    """Build the language model GPT-2, as nanoGPT has it."""
    return GPT(config, dtype)


def _initialize(module: nn.Module) -> None:
    """Draw the weights of a layer again; biases are zero."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
