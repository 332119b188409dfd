"""The transformer encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import DType, Generator
from jaxaccel.functional import gelu, relu
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._linear import Linear
from jaxaccel.nn._multihead_attention import MultiheadAttention
from jaxaccel.nn._normalization import LayerNorm


class TransformerEncoderLayer(nnx.Module):
    r"""Self-attention and a network of two linear layers, each with a residual and a norm.

    .. math::
        x &\leftarrow \text{norm}_1(x + \text{attention}(x)) \\
        x &\leftarrow \text{norm}_2(x + W_2\, \text{activation}(W_1 x + b_1) + b_2)

    or, with ``norm_first``, ``x + attention(norm1(x))`` and so on. Dropout follows the attention
    weights, the activation and both branches.

    A call is ``layer(src, src_mask=None, src_key_padding_mask=None, is_causal=False)``, with the
    shapes and masks of :class:`~jaxaccel.nn.MultiheadAttention`.

    Args:
        d_model: The length of the vectors.
        nhead: The number of heads, a divisor of ``d_model``.
        dim_feedforward: The width of the network between its two layers.
        dropout: The probability of every dropout.
        activation: ``"relu"``, ``"gelu"`` (the exact one), or a function.
        layer_norm_eps: Added to the variances.
        batch_first: Whether a batch is (N, L, d_model) and not (L, N, d_model).
        norm_first: Whether the norms are in front of attention and network and not behind them.
        bias: Whether linear layers, attention and norms have biases.
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``self_attn``, ``linear1`` and ``linear2``: the ``params`` stream of an
            ``nnx.Rngs``, whose ``dropout`` stream serves the dropouts, or a
            :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, a bad shape.
        TypeError: from a call, a bad dtype.

    PyTorch:
        ``torch.nn.TransformerEncoderLayer``: the same, but for the weights, which are transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's). Left out: ``device`` (JAX places arrays),
        and nested tensors. PyTorch raises ``RuntimeError`` and ``AssertionError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.TransformerEncoderLayer(8, 2, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> layer(jnp.ones((4, 3, 8), jnp.float32)).shape
        (4, 3, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
        Xiong et al. On Layer Normalization in the Transformer Architecture. 2020.
        https://arxiv.org/abs/2002.04745
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
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, dtype=dtype, rngs=rngs
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype, rngs=rngs)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout, rngs=rngs)
        self.dropout2 = Dropout(dropout, rngs=rngs)
        self.activation: Any = activation

    @checked
    def __call__(
        self,
        src: jax.Array,
        src_mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        is_causal: bool = False,
    ) -> jax.Array:
        """Return the output, of the input's shape and dtype."""

        def attend(x: jax.Array) -> jax.Array:
            seen, _ = self.self_attn(
                x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal
            )
            return self.dropout1(seen)

        def feed_forward(x: jax.Array) -> jax.Array:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            src = src + attend(self.norm1(src))
            return src + feed_forward(self.norm2(src))
        src = self.norm1(src + attend(src))
        return self.norm2(src + feed_forward(src))


class TransformerEncoder(nnx.Module):
    """Several encoder layers, one after another, and a norm at the end.

    The layers are copies of one, and so start from the same weights, as in PyTorch. The first of
    their arrays are ``layers.0``. Their dropouts draw masks of their own.

    A call is ``encoder(src, mask=None, src_key_padding_mask=None, is_causal=None)``.

    Args:
        encoder_layer: The layer to copy, a :class:`~jaxaccel.nn.TransformerEncoderLayer` or a
            module that is called like one; it is not changed.
        num_layers: The number of copies.
        norm: A module that the output goes through, or None.

    PyTorch:
        ``torch.nn.TransformerEncoder``: the same. Left out: ``enable_nested_tensor`` and
        ``mask_check``; a batch with padding is computed as it is (PyTorch's fast path, which
        evaluation without gradients takes, sets the output at padded positions to zero).
        ``is_causal=None`` looks for a causal mask there, to be faster; here it is False, and the
        mask is used as it is.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.TransformerEncoderLayer(8, 2, 16, 0.0, rngs=ja.random.manual_seed(0))
        >>> encoder = ja.nn.TransformerEncoder(layer, 3, ja.nn.LayerNorm(8))
        >>> encoder(jnp.ones((4, 1, 8), jnp.float32)).shape
        (4, 1, 8)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    @checked
    def __init__(self, encoder_layer: nnx.Module, num_layers: int, norm: nnx.Module | None = None):
        self.layers = copies_of(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm: Any = nnx.data(None) if norm is None else norm

    @checked
    def __call__(
        self,
        src: jax.Array,
        mask: jax.Array | None = None,
        src_key_padding_mask: jax.Array | None = None,
        is_causal: bool | None = None,
    ) -> jax.Array:
        """Return the output, of the input's shape and dtype."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


def activation_of(
    activation: str | Callable[[jax.Array], jax.Array],
) -> Callable[[jax.Array], jax.Array]:
    """Return the activation that a name means, or the function given."""
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise ValueError(f"activation should be relu/gelu, not {activation}")
    return relu if activation == "relu" else gelu


def copies_of(layer: nnx.Module, count: int) -> nnx.List[nnx.Module]:
    """Return copies of a layer with the same weights."""
    return nnx.List([_copy(layer, index) for index in range(count)])


def _copy(layer: nnx.Module, index: int) -> nnx.Module:
    """Return a copy with the same weights, whose random streams are its own."""
    copied = nnx.clone(layer)
    for _, stream in nnx.iter_graph(copied):
        if isinstance(stream, nnx.RngStream):
            stream.key[...] = jax.random.fold_in(stream.key[...], index)
    return copied
