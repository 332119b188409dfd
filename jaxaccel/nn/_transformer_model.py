"""The transformer: an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._named_arrays import named_arrays
from jaxaccel._types import DType, Generator
from jaxaccel.init import xavier_uniform
from jaxaccel.nn._arguments import params_key
from jaxaccel.nn._normalization import LayerNorm
from jaxaccel.nn._transformer import TransformerEncoder, TransformerEncoderLayer
from jaxaccel.nn._transformer_decoder import TransformerDecoder, TransformerDecoderLayer


class Transformer(nnx.Module):
    """An encoder, and a decoder that looks at what the encoder returns.

    A call is ``model(src, tgt, src_mask=None, tgt_mask=None, memory_mask=None,
    src_key_padding_mask=None, tgt_key_padding_mask=None, memory_key_padding_mask=None,
    src_is_causal=None, tgt_is_causal=None, memory_is_causal=False)``, with the shapes and masks of
    :class:`~jaxaccel.nn.MultiheadAttention`.

    Args:
        d_model: The length of the vectors.
        nhead: The number of heads, a divisor of ``d_model``.
        num_encoder_layers: The number of layers of the encoder.
        num_decoder_layers: The number of layers of the decoder.
        dim_feedforward: The width of the networks between their two layers.
        dropout: The probability of every dropout.
        activation: ``"relu"``, ``"gelu"`` (the exact one), or a function.
        custom_encoder: An encoder to take instead, or None.
        custom_decoder: A decoder to take instead, or None.
        layer_norm_eps: Added to the variances.
        batch_first: Whether a batch is (N, L, d_model) and not (L, N, d_model).
        norm_first: Whether the norms are in front of attention and networks and not behind them.
        bias: Whether linear layers, attention and norms have biases.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws a layer of the encoder, one of the decoder, and then all weights of more than
            one axis again (Xavier), those of a custom encoder or decoder too: the ``params`` stream
            of an ``nnx.Rngs``, whose ``dropout`` stream serves the dropouts, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, a bad shape.
        TypeError: from a call, a bad dtype.

    PyTorch:
        ``torch.nn.Transformer``: the same, but for the weights, which are transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's), and for what
        :class:`TransformerEncoder` and :class:`TransformerDecoder` say. Left out: ``device`` (JAX
        places arrays). PyTorch raises ``RuntimeError`` and ``AssertionError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> model = ja.nn.Transformer(8, 2, 1, 1, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> src, tgt = jnp.ones((6, 3, 8), jnp.float32), jnp.ones((4, 3, 8), jnp.float32)
        >>> mask = ja.nn.Transformer.generate_square_subsequent_mask(4)
        >>> model(src, tgt, tgt_mask=mask).shape
        (4, 3, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    @checked
    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[jax.Array], jax.Array] = "relu",
        custom_encoder: nnx.Module | None = None,
        custom_decoder: nnx.Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        sizes = (d_model, nhead, dim_feedforward, dropout, activation)
        options = (layer_norm_eps, batch_first, norm_first, bias, dtype)

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)

        if custom_encoder is None:
            layer = TransformerEncoderLayer(*sizes, *options, rngs=rngs)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm())
        self.encoder: Any = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*sizes, *options, rngs=rngs)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm())
        self.decoder: Any = custom_decoder
        _draw_again(self, rngs)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    @staticmethod
    @checked
    def generate_square_subsequent_mask(sz: int, dtype: DType | None = None) -> jax.Array:
        """Return the causal mask (sz, sz): minus infinity above the diagonal, and 0.

        Args:
            sz: The number of steps.
            dtype: Of the mask; None for float32.
        """
        hidden = jnp.triu(jnp.ones((sz, sz), bool), 1)
        return jnp.where(hidden, -jnp.inf, 0.0).astype(jnp.float32 if dtype is None else dtype)

    @checked
    def __call__(
        self,
        src: jax.Array,
        tgt: jax.Array,
        src_mask: jax.Array | None = None,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """Return the decoder's output, of the shape and dtype of ``tgt``."""
        axis = 0 if self.batch_first else 1
        if src.ndim == 3 and src.shape[axis] != tgt.shape[axis]:
            raise ValueError("the batch number of src and tgt must be equal")
        if src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ValueError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)


def _draw_again(model: nnx.Module, rngs: nnx.Rngs | Generator) -> None:
    """Draw all parameters of more than one axis anew, in PyTorch's order."""
    drawn: set[int] = set()
    for array in named_arrays(model):
        variable = array.variable
        if isinstance(variable, nnx.Param) and variable.ndim > 1 and id(variable) not in drawn:
            init = xavier_uniform(layout="flax" if array.layout == "flax" else "torch")
            variable[...] = init(params_key(rngs), variable.shape, variable.dtype)
            drawn.add(id(variable))
