"""The language model GPT-2."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._filled import zeros_like
from jaxaccel._gradient import with_float32_sums
from jaxaccel._types import DType, Generator
from jaxaccel.init import normal
from jaxaccel.models._checkpointed import Checkpoint, checkpointed
from jaxaccel.models._gpt_block import Block
from jaxaccel.models._gpt_config import GPTConfig
from jaxaccel.nn import Dropout, Embedding, LayerNorm, Linear, StackedLayers, params_key


class Transformer(nnx.Module):
    """Embeddings, blocks and a norm: integers (N, L) to (N, L, n_embd)."""

    def __init__(
        self,
        config: GPTConfig,
        dtype: Any,
        checkpoint: Checkpoint | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.checkpoint = checkpoint
        self.wte = Embedding(config.vocab_size, config.n_embd, dtype=dtype, rngs=rngs)
        self.wpe = Embedding(config.block_size, config.n_embd, dtype=dtype, rngs=rngs)
        self.drop = Dropout(config.dropout, rngs=rngs)
        blocks = [Block(config, dtype, rngs=rngs) for _ in range(config.n_layer)]
        self.h: nnx.List[Block] | StackedLayers = nnx.List(blocks)
        self.ln_f = LayerNorm(config.n_embd, bias=config.bias, dtype=dtype)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the vectors that predict the next tokens."""
        tokens, positions = self.wte(input), self.wpe(jnp.arange(input.shape[1], dtype=jnp.int32))
        x = self.drop(tokens + with_float32_sums(jax.lax.expand_dims(positions, (0,)), tokens))
        if isinstance(self.h, StackedLayers):
            return self.ln_f(self.h(x))
        for block in self.h:
            x = checkpointed(self.checkpoint, block)(x)
        return self.ln_f(x)


class GPT(nnx.Module):
    """A transformer that predicts tokens; :func:`gpt` builds it."""

    def __init__(
        self,
        config: GPTConfig,
        dtype: Any,
        scan_layers: bool,
        checkpoint: Checkpoint | None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        self.config = config
        self.transformer = Transformer(config, dtype, checkpoint, rngs=rngs)
        self.lm_head = Linear(config.n_embd, config.vocab_size, False, dtype, rngs=rngs)
        self.lm_head.weight = self.transformer.wte.weight
        self._initialize(rngs)
        if scan_layers:
            self.transformer.h = StackedLayers(list(self.transformer.h), checkpoint)

    def _initialize(self, rngs: nnx.Rngs | Generator) -> None:
        """Draw all weights again, in the order of nanoGPT; biases are zero."""
        table, linear = normal(std=0.02, layout="torch"), normal(std=0.02)
        scaled = normal(std=0.02 / (2 * self.config.n_layer) ** 0.5)
        transformer, blocks = self.transformer, list(self.transformer.h)
        weights = [(transformer.wte.weight, table), (transformer.wpe.weight, table)]
        for block in blocks:
            for layer in block.linear_layers():
                weights.append((layer.weight, linear))
                if layer.bias is not None:
                    layer.bias[...] = zeros_like(layer.bias[...])
        weights.append((self.lm_head.weight, table))
        for block in blocks:
            weights += [(block.attn.c_proj.weight, scaled), (block.mlp.c_proj.weight, scaled)]
        for weight, init in weights:
            weight[...] = init(params_key(rngs), weight.shape, weight.dtype)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the logits of each next token, (N, L, vocab_size), for integers (N, L)."""
        if input.shape[1] > self.config.block_size:
            raise ValueError(
                f"Cannot forward sequence of length {input.shape[1]}, block size is only "
                f"{self.config.block_size}"
            )
        return self.lm_head(self.transformer(input))


@checked
def gpt(
    config: GPTConfig,
    dtype: DType | None = None,
    *,
    scan_layers: bool = False,
    checkpoint: Checkpoint | None = None,
    rngs: nnx.Rngs | Generator,
) -> GPT:
    """Build the language model GPT-2, as nanoGPT has it.

    Blocks of causal attention and of a network with GELU, each behind a norm and beside a residual.
    The embedding of the tokens is the matrix that gives the logits, too. The loss is the caller's.

    Args:
        config: The sizes, dropout, biases and the kind of GELU.
        dtype: Of the parameters and so of the logits; None for float32.
        scan_layers: Whether the blocks are one :class:`jaxaccel.nn.StackedLayers`: a step then
            compiles as fast as for one block. Numbers and PyTorch's names stay.
        checkpoint: A function from a block to what is called in its place, such as
            :func:`jaxaccel.memory.checkpoint`: the backward pass then computes each block again.
        rngs: Draws the weights from N(0, 0.02^2), those in front of a residual with a standard
            deviation of 0.02 / sqrt(2 n_layer): the ``params`` stream of an ``nnx.Rngs``, whose
            ``dropout`` stream serves the dropouts, or a :class:`jaxaccel.random.Generator` for
            PyTorch's own numbers.

    Returns:
        An nnx module: integers (N, L), at most ``block_size`` of them in a row, to logits
        (N, L, vocab_size).

    Raises:
        ValueError: ``n_embd`` is not a multiple of ``n_head``, or ``approximate`` is no kind of
            GELU; from a call, a sequence that is too long.

    PyTorch:
        nanoGPT's ``GPT``: the same names, and the same initial weights after the same seed. The
        GELU is GPT-2's approximation with a tanh; nanoGPT's is exact, ``approximate="none"``. What
        is returned are logits of all positions.
        One array has two names, ``transformer.wte.weight`` and ``lm_head.weight``, as there.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> config = ja.models.GPTConfig(vocab_size=65, block_size=8, n_layer=2, n_head=2, n_embd=8)
        >>> model = ja.models.gpt(config, rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((3, 8), jnp.int32)).shape
        (3, 8, 65)

    References:
        Radford et al. Language Models are Unsupervised Multitask Learners. 2019.
    """
    return GPT(config, dtype, scan_layers, checkpoint, rngs=rngs)
