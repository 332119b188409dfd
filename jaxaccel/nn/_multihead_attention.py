"""The attention layer."""

from __future__ import annotations

from typing import Any

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._filled import filled
from jaxaccel._types import DType, Generator, Initializer
from jaxaccel.functional import multi_head_attention_forward
from jaxaccel.init import xavier_normal, xavier_uniform
from jaxaccel.nn._arguments import array_of, parameter_dtype, params_key, value_of
from jaxaccel.nn._dropout import Dropout
from jaxaccel.nn._linear import Linear


class MultiheadAttention(nnx.Module):
    r"""Let each query look at all keys, in several heads, and return what it sees of the values.

    .. math::
        \text{Concat}(h_1, \dots, h_H) W^O, \qquad
        h_i = \text{softmax}\left(\frac{q_i k_i^T}{\sqrt{d}} + \text{mask}\right) v_i

    ``q, k, v`` are linear maps of query, key and value, each split into heads of length ``d``. The
    weights are ``in_proj_weight`` (embed_dim, 3 embed_dim), or ``q_proj_weight``, ``k_proj_weight``
    and ``v_proj_weight`` where ``kdim`` or ``vdim`` differ, and ``out_proj``, a
    :class:`~jaxaccel.nn.Linear`.

    A call is ``layer(query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
    average_attn_weights=True, is_causal=False)`` and returns ``(output, weights)``. In the masks
    True means that a key is *not* seen, and floating numbers are added to the scores.

    Args:
        embed_dim: The length of queries and outputs, over all heads.
        num_heads: The number of heads, a divisor of ``embed_dim``.
        dropout: The probability with which a weight is zeroed in training; the layer's ``dropout``
            is a :class:`~jaxaccel.nn.Dropout`.
        bias: Whether the linear maps add a bias.
        add_bias_kv: Whether to learn one more key and value, ``bias_k`` and ``bias_v``.
        add_zero_attn: Whether to add a key and value of zeros.
        kdim: The length of keys; None for ``embed_dim``.
        vdim: The length of values; None for ``embed_dim``.
        batch_first: Whether a batch is (N, L, embed_dim) and not (L, N, embed_dim).
        dtype: Of the parameters and so of the input; None for float32.
        rngs: Draws ``out_proj``, then the other weights (Xavier), then ``bias_k`` and ``bias_v``:
            the ``params`` stream of an ``nnx.Rngs``, whose ``dropout`` stream serves the dropout,
            or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Raises:
        ValueError: a bad argument; from a call, an input or mask of another shape, ``is_causal``
            without ``attn_mask``, or dropout without a stream.
        TypeError: from a call, an input of another dtype than the parameters, or a mask that is
            neither boolean nor floating.

    PyTorch:
        ``torch.nn.MultiheadAttention``: the same, but for the weights, which are transposed
        (:func:`jaxaccel.nn.state_dict` gives PyTorch's). A query that sees no key gives NaN with
        ``need_weights`` and the bias of ``out_proj`` without, as there; without weights the
        scores never exist as a whole
        (:func:`jaxaccel.functional.scaled_dot_product_attention`). ``is_causal`` is the hint that
        it is there: without weights and padding it takes the place of ``attn_mask``. Left out:
        ``device`` (JAX places arrays), nested tensors, and the warning for masks of two dtypes.
        PyTorch raises ``AssertionError`` and ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.MultiheadAttention(8, 2, batch_first=True, rngs=ja.random.manual_seed(0))
        >>> x = jnp.ones((3, 4, 8), jnp.float32)
        >>> output, weights = layer(x, x, x)
        >>> output.shape, weights.shape, float(weights[0, 0, 0])
        ((3, 4, 8), (3, 4, 4), 0.25)

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """

    reads_any_layout = True
    kernel_axes = 2
    torch_transposed = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")

    @checked
    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        dtype: DType | None = None,
        *,
        rngs: nnx.Rngs | Generator,
    ):
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        if embed_dim % num_heads != 0:
            raise ValueError("embed_dim must be divisible by num_heads")
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.batch_first = batch_first
        self.add_zero_attn = add_zero_attn
        self.dropout = Dropout(dropout, rngs=rngs)
        dtype = parameter_dtype(dtype)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype, rngs=rngs)

        def draw(init: Initializer, shape: tuple[int, ...], wanted: bool, layout="flax") -> Any:
            if not wanted:
                return nnx.data(None)
            return nnx.Param(init(params_key(rngs), shape, dtype), layout=layout)

        packed = self.kdim == self.vdim == embed_dim
        xavier, normal = xavier_uniform(), xavier_normal(layout="torch")
        self.in_proj_weight = draw(xavier, (embed_dim, 3 * embed_dim), packed)
        self.q_proj_weight = draw(xavier, (embed_dim, embed_dim), not packed)
        self.k_proj_weight = draw(xavier, (self.kdim, embed_dim), not packed)
        self.v_proj_weight = draw(xavier, (self.vdim, embed_dim), not packed)
        self.in_proj_bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if self.out_proj.bias is not None:
            self.in_proj_bias = nnx.Param(filled((3 * embed_dim,), 0, dtype))
            # Drawn all the same, as in PyTorch, so that what comes later gets the same numbers.
            self.out_proj.bias[...] = filled((embed_dim,), 0, dtype)
        self.bias_k = draw(normal, (1, 1, embed_dim), add_bias_kv, "torch")
        self.bias_v = draw(normal, (1, 1, embed_dim), add_bias_kv, "torch")

    def _array(self, name: str) -> jax.Array | None:
        """Return one of the arrays that may be absent."""
        return None if getattr(self, name) is None else array_of(self, name)

    @checked
    def __call__(
        self,
        query: jax.Array,
        key: jax.Array,
        value: jax.Array,
        key_padding_mask: jax.Array | None = None,
        need_weights: bool = True,
        attn_mask: jax.Array | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[jax.Array, jax.Array | None]:
        """Attend.

        Args:
            query: (L, N, embed_dim), (N, L, embed_dim) with ``batch_first``, or (L, embed_dim).
            key: (S, N, kdim), (N, S, kdim) or (S, kdim).
            value: (S, N, vdim), (N, S, vdim) or (S, vdim).
            key_padding_mask: (N, S) or (S,).
            need_weights: Whether to return the weights too.
            attn_mask: (L, S) or (N * num_heads, L, S).
            average_attn_weights: Whether the weights are the mean over heads.
            is_causal: A hint that ``attn_mask`` is the causal mask.

        Returns:
            The output, of the shape of ``query``, and the weights: (N, L, S), (N, num_heads, L, S)
            if not averaged, without N if there is no batch, or None.
        """
        return multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self._array("in_proj_weight"),
            value_of(self.in_proj_bias),
            self._array("bias_k"),
            self._array("bias_v"),
            self.add_zero_attn,
            self.dropout.p,
            array_of(self.out_proj, "weight"),
            value_of(self.out_proj.bias),
            not self.dropout.deterministic,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=self.in_proj_weight is None,
            q_proj_weight=self._array("q_proj_weight"),
            k_proj_weight=self._array("k_proj_weight"),
            v_proj_weight=self._array("v_proj_weight"),
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
            batch_first=self.batch_first,
            dropout_key=self.dropout.mask_key(),
        )
