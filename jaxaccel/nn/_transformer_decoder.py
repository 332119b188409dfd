"""The transformer decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._multihead_attention import MultiheadAttention
from jaxaccel.nn._normalization import LayerNorm
from jaxaccel.nn._transformer import activation_of, copies_of


class TransformerDecoderLayer(nnx.Module):
    r"""Self-attention, attention to a memory and a network, each with a residual and a norm.

    .. math::
        x &\leftarrow \text{norm}_1(x + \text{attention}(x)) \\
        x &\leftarrow \text{norm}_2(x + \text{attention}(x, \text{memory})) \\
        x &\leftarrow \text{norm}_3(x + W_2\, \text{activation}(W_1 x + b_1) + b_2)

    or, with ``norm_first``, ``x + attention(norm1(x))`` and so on. Dropout follows the attention
    weights, the activation and all branches.

    A call is ``layer(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False)``, with the shapes
    and masks of :class:`~jaxaccel.nn.MultiheadAttention`.

    Args:
        as :class:`TransformerEncoderLayer`.
        rngs: Draws ``self_attn``, ``multihead_attn``, ``linear1`` and ``linear2``, as there.

    Raises:
        ValueError: a bad argument; from a call, a bad shape.
        TypeError: from a call, a bad dtype.

    PyTorch:
        ``torch.nn.TransformerDecoderLayer``: the same, but for the weights, which are transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX places arrays).
        PyTorch raises ``RuntimeError`` and ``AssertionError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.TransformerDecoderLayer(8, 2, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> tgt, memory = jnp.ones((4, 3, 8), jnp.float32), jnp.ones((6, 3, 8), jnp.float32)
        >>> layer(tgt, memory).shape
        (4, 3, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    @checked
    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[jax.Array], jax.Array] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        activation = activation_of(activation)
        self.norm_first = norm_first

        def attention() -> MultiheadAttention:
            return MultiheadAttention(
                d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rngs=rngs
            )

        self.self_attn = attention()
        self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, rngs=rngs)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rngs=rngs)
        self.dropout2 = Dropout(dropout, rngs=rngs)
        self.dropout3 = Dropout(dropout, rngs=rngs)
        self.activation: Any = activation

    @checked
    def __call__(
        self,
        tgt: jax.Array,
        memory: jax.Array,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """Return the output, of the shape and dtype of ``tgt``."""

        def attend(x: jax.Array) -> jax.Array:
            seen, _ = self.self_attn(
                x, x, x, tgt_key_padding_mask, False, tgt_mask, is_causal=tgt_is_causal
            )
            return self.dropout1(seen)

        def look(x: jax.Array) -> jax.Array:
            masks = (memory_key_padding_mask, False, memory_mask)
            seen, _ = self.multihead_attn(x, memory, memory, *masks, is_causal=memory_is_causal)
            return self.dropout2(seen)

        def feed_forward(x: jax.Array) -> jax.Array:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        norms = (self.norm1, self.norm2, self.norm3)
        for norm, branch in zip(norms, (attend, look, feed_forward), strict=True):
            tgt = tgt + branch(norm(tgt)) if self.norm_first else norm(tgt + branch(tgt))
        return tgt


class TransformerDecoder(nnx.Module):
    """Several decoder layers, one after another, and a norm at the end.

    The layers are copies of one, and so start from the same weights, as in PyTorch. The first of
    their arrays are ``layers.0``. Their dropouts draw masks of their own.

    A call is ``decoder(tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
    memory_key_padding_mask=None, tgt_is_causal=None, memory_is_causal=False)``.

    Args:
        decoder_layer: The layer to copy, a :class:`~jaxaccel.nn.TransformerDecoderLayer` or a
            module that is called like one; it is not changed.
        num_layers: The number of copies.
        norm: A module that the output goes through, or None.

    PyTorch:
        ``torch.nn.TransformerDecoder``: the same. ``tgt_is_causal=None`` looks for a causal mask
        there, to be faster; here it is False, and the mask is used as it is.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.TransformerDecoderLayer(8, 2, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> decoder = ja.nn.TransformerDecoder(layer, 3, ja.nn.LayerNorm(8))
        >>> decoder(jnp.ones((4, 1, 8), jnp.float32), jnp.ones((6, 1, 8), jnp.float32)).shape
        (4, 1, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    @checked
    def __init__(self, decoder_layer: nnx.Module, num_layers: int, norm: nnx.Module | None = None):
        self.layers = copies_of(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm: Any = nnx.data(None) if norm is None else norm

    @checked
    def __call__(
        self,
        tgt: jax.Array,
        memory: jax.Array,
        tgt_mask: jax.Array | None = None,
        memory_mask: jax.Array | None = None,
        tgt_key_padding_mask: jax.Array | None = None,
        memory_key_padding_mask: jax.Array | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> jax.Array:
        """Return the output, of the shape and dtype of ``tgt``."""
        masks = (tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)
