"""The sizes of a GPT."""

from __future__ import annotations

from typing import NamedTuple


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
