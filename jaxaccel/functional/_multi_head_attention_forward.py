"""Attention in several heads, between linear maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._gradient import with_float32_sums
from jaxaccel._operations import operation
from jaxaccel._types import Key
from jaxaccel.functional._attention_blocks import attend
from jaxaccel.functional._attention_mask import check_lengths, check_shapes, seen_masks
from jaxaccel.functional._linear import linear
from jaxaccel.functional._scaled_dot_product_attention import attention, check_dropout


@checked
def multi_head_attention_forward(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: jax.Array | None,
    in_proj_bias: jax.Array | None,
    bias_k: jax.Array | None,
    bias_v: jax.Array | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: jax.Array,
    out_proj_bias: jax.Array | None,
    training: bool = True,
    key_padding_mask: jax.Array | None = None,
    need_weights: bool = True,
    attn_mask: jax.Array | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: jax.Array | None = None,
    k_proj_weight: jax.Array | None = None,
    v_proj_weight: jax.Array | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
    *,
    batch_first: bool = False,
    dropout_key: Key | None = None,
) -> tuple[jax.Array, jax.Array | None]:
    r"""Map queries, keys and values, attend in several heads, and map what they see.

    .. math::
        \text{Concat}(h_1, \dots, h_H) W^O, \qquad
        h_i = \text{softmax}\left(\frac{q_i k_i^T}{\sqrt{d}} + \text{mask}\right) v_i

    It is the arithmetic of :class:`jaxaccel.nn.MultiheadAttention`. In the masks True means that a
    key is *not* seen, and floating numbers are added to the scores. Where query, key and value are
    one object, they are mapped by one matrix product.

    Args:
        query: (L, N, E), or (L, E).
        key: (S, N, kdim), or (S, kdim).
        value: (S, N, vdim), or (S, vdim).
        embed_dim_to_check: The E that is expected.
        num_heads: The number of heads, a divisor of E.
        in_proj_weight: (E, 3 E), PyTorch's transposed; None with ``use_separate_proj_weight``.
        in_proj_bias: (3 E,), or None.
        bias_k: (1, 1, E), one more key for all, or None.
        bias_v: (1, 1, E), its value, or None.
        add_zero_attn: Whether to add a key and value of zeros.
        dropout_p: The probability with which a weight is zeroed in training.
        out_proj_weight: (E, E), PyTorch's transposed.
        out_proj_bias: (E,), or None.
        training: Whether there is dropout.
        key_padding_mask: (N, S), or (S,).
        need_weights: Whether to return the weights too; without them the scores never exist as a
            whole, as in :func:`scaled_dot_product_attention`.
        attn_mask: (L, S), or (N * num_heads, L, S).
        use_separate_proj_weight: Whether the next three take the place of ``in_proj_weight``.
        q_proj_weight: (E, E), PyTorch's transposed.
        k_proj_weight: (kdim, E), PyTorch's transposed.
        v_proj_weight: (vdim, E), PyTorch's transposed.
        average_attn_weights: Whether the weights are the mean over heads.
        is_causal: A hint that ``attn_mask`` is the causal mask: without weights and padding it
            takes its place.
        batch_first: Whether batches are (N, L, E) and (N, S, kdim).
        dropout_key: A JAX random key that draws the mask of ``dropout_p``.

    Returns:
        The output, of the shape of ``query``, and the weights: (N, L, S), (N, num_heads, L, S) if
        not averaged, without N if there is no batch, or None.

    Raises:
        ValueError: shapes that do not go together, a weight that is missing, ``is_causal`` without
            ``attn_mask``, ``dropout_p`` outside [0, 1], or a mask to draw and no ``dropout_key``.
        TypeError: an input of another dtype than the weights, or a mask that is neither boolean
            nor floating.

    PyTorch:
        ``torch.nn.functional.multi_head_attention_forward``: the same, but for the weights, which
        are transposed (flax's layout), and dropout from JAX's random bits. A query that sees no key
        gives NaN with ``need_weights`` and ``out_proj_bias`` without, as there. Left out:
        ``static_k`` and ``static_v``, and the warning for masks of two dtypes. PyTorch raises
        ``AssertionError`` and ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, one = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.eye(2)
        >>> packed = jnp.concatenate([0 * one, 0 * one, one], 1)  # all keys match alike
        >>> output, weights = ja.functional.multi_head_attention_forward(
        ...     x, x, x, 2, 1, packed, None, None, None, False, 0.0, one, None
        ... )
        >>> output.tolist(), weights.tolist()
        ([[2.0, 3.0], [2.0, 3.0]], [[0.5, 0.5], [0.5, 0.5]])

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
    """
    separate = [q_proj_weight, k_proj_weight, v_proj_weight]
    kernels = _given(separate if use_separate_proj_weight else [in_proj_weight])
    check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if is_causal and attn_mask is None:
        raise ValueError(
            "Need attn_mask if specifying the is_causal hint: attn_mask=~jnp.tri(L, S, dtype=bool)"
        )
    kdim, vdim = embed_dim_to_check, embed_dim_to_check
    if use_separate_proj_weight:
        kdim, vdim = kernels[1].shape[0], kernels[2].shape[0]
    check_lengths(query, key, value, (embed_dim_to_check, kdim, vdim), batch_first)
    if num_heads <= 0:
        raise ValueError(f"num_heads must be greater than 0, got num_heads={num_heads}")
    if embed_dim_to_check % num_heads != 0:
        raise ValueError(f"embed_dim {embed_dim_to_check} not divisible by num_heads {num_heads}")
    dropout = dropout_p if training else 0.0, dropout_key
    check_dropout(*dropout)
    batched = query.ndim == 3
    if not batched and key_padding_mask is not None:
        key_padding_mask = key_padding_mask[None]
    batch_axis = 1 if batched and not batch_first else 0
    q, k, v = (
        jnp.moveaxis(x, batch_axis, 0) if batched else x[None]
        for x in _projected((query, key, value), kernels, in_proj_bias)
    )
    hinted = is_causal and key_padding_mask is None and not need_weights
    shape = (q.shape[0], num_heads, q.shape[1], k.shape[1])
    masks = [] if hinted else seen_masks(attn_mask, key_padding_mask, shape)
    if bias_k is not None and bias_v is not None:
        k, v, masks = _extended(k, v, masks, bias_k, bias_v)
    if add_zero_attn:
        zeros = jnp.zeros((1, 1, embed_dim_to_check), k.dtype)
        k, v, masks = _extended(k, v, masks, zeros, zeros)
    q, k, v = (_split_heads(x, num_heads) for x in (q, k, v))
    weights = None
    if need_weights:
        output, weights = attend(q, k, v, masks, None, None, _softmax, *dropout)
        weights = jnp.mean(weights, axis=1) if average_attn_weights else weights
        weights = weights if batched else weights[0]
    else:
        output = attention(q, k, v, masks, hinted, None, *dropout)
    output = linear(_joined_heads(output), out_proj_weight, out_proj_bias)
    return (jnp.moveaxis(output, 0, batch_axis) if batched else output[0]), weights


def _softmax(scores: jax.Array, dtype: Any) -> jax.Array:
    """Return the softmax over the last axis: NaN where every score is -inf, as in PyTorch."""
    return _shares(scores).astype(dtype)


@operation("softmax", low=("scores",))
def _shares(scores: jax.Array) -> jax.Array:
    """Return the softmax over the last axis."""
    return jax.nn.softmax(scores)


def _given(kernels: Sequence[jax.Array | None]) -> list[jax.Array]:
    """Return the kernels of the first maps, one or three; raise where one is missing."""
    names = ["in_proj_weight"]
    if len(kernels) == 3:
        names = ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    for name, kernel in zip(names, kernels, strict=True):
        if kernel is None:
            raise ValueError(f"use_separate_proj_weight is {len(kernels) == 3} but {name} is None")
    return [kernel for kernel in kernels if kernel is not None]


def _projected(
    inputs: tuple[jax.Array, jax.Array, jax.Array],
    kernels: Sequence[jax.Array],
    bias: jax.Array | None,
) -> list[jax.Array]:
    """Return queries, keys and values for all heads together."""
    query, key, value = inputs
    if len(kernels) == 1:
        if query is key and key is value:  # self-attention: one matrix product, not three
            return jnp.split(linear(query, kernels[0], bias), 3, axis=-1)
        kernels = jnp.split(kernels[0], 3, axis=-1)
    biases = [None] * 3 if bias is None else jnp.split(bias, 3)
    return [linear(*own) for own in zip(inputs, kernels, biases, strict=True)]


def _extended(
    keys: jax.Array,
    values: jax.Array,
    masks: list[jax.Array],
    key: jax.Array,
    value: jax.Array,
) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
    """Append one more key and value to each sequence; every query sees them."""
    shape = (keys.shape[0], 1, keys.shape[2])
    key, value = (with_float32_sums(x, like[:, :1]) for x, like in ((key, keys), (value, values)))
    keys = jnp.concatenate([keys, jnp.broadcast_to(key, shape)], axis=1)
    values = jnp.concatenate([values, jnp.broadcast_to(value, shape)], axis=1)
    masks = [
        jnp.pad(mask, [(0, 0)] * 3 + [(0, 1)], constant_values=mask.dtype == jnp.bool)
        for mask in masks
    ]
    return keys, values, masks


def _split_heads(array: jax.Array, num_heads: int) -> jax.Array:
    """Turn (N, L, E) into (N, num_heads, L, E / num_heads)."""
    return jnp.swapaxes(array.reshape(*array.shape[:2], num_heads, -1), 1, 2)


def _joined_heads(array: jax.Array) -> jax.Array:
    """Turn (N, num_heads, L, E / num_heads) into (N, L, E)."""
    array = jnp.swapaxes(array, 1, 2)
    return array.reshape(*array.shape[:2], -1)
