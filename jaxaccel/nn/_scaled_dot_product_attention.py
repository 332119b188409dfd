"""Attention as a function of queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._math import compute_dtype
from jaxaccel._types import Key
from jaxaccel.nn._attention_mask import as_bias
from jaxaccel.nn._dropout import Dropout


def scaled_dot_product_attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    attn_mask: jax.Array | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    dropout_key: Key | None = None,
) -> jax.Array:
    r"""Return for each query the mean of the values, weighted by how well their keys match it.

    .. math::
        \text{softmax}\left(\text{scale} \cdot Q K^T + \text{mask}\right) V

    A query whose mask leaves no key gives zeros, and zero gradients. Scores and softmax are
    computed in at least float32.

    Args:
        query: (..., heads, L, E).
        key: (..., heads, S, E).
        value: (..., heads, S, Ev).
        attn_mask: Broadcasts to (..., heads, L, S). Boolean: True takes part. Floating: added to
            the scores.
        dropout_p: The probability with which a weight is zeroed, in [0, 1]; it always applies.
        is_causal: Whether query i sees keys 0 to i alone, also for L != S. Not with ``attn_mask``.
        scale: None for 1 / sqrt(E).
        enable_gqa: Whether the heads of ``query`` may be a multiple of those of ``key`` and of
            ``value``, which then serve neighbouring heads.
        dropout_key: A JAX random key that draws the mask of ``dropout_p``.

    Returns:
        (..., heads, L, Ev), in the dtype of ``query``.

    Raises:
        ValueError: shapes that do not go together, ``attn_mask`` with ``is_causal``, ``dropout_p``
            outside [0, 1], or a mask to draw and no ``dropout_key``.
        TypeError: dtypes that differ, or a mask that is neither boolean nor floating.

    PyTorch:
        ``torch.nn.functional.scaled_dot_product_attention``: the same, with dropout from JAX's
        random bits. It has no ``dropout_key``, lets a negative ``dropout_p`` pass, and raises
        ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> one, values = jnp.ones((3, 1), jnp.float32), jnp.array([[1.0], [2.0], [3.0]])
        >>> values = values.astype(jnp.float32)
        >>> ja.nn.scaled_dot_product_attention(one, one, values, is_causal=True).ravel().tolist()
        [1.0, 1.5, 2.0]

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
        Ainslie et al. GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
        Checkpoints. 2023. https://arxiv.org/abs/2305.13245
    """
    _check_arrays(query, key, value, attn_mask)
    if is_causal and attn_mask is not None:
        raise ValueError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    if dropout_p > 0 and dropout_key is None:
        raise ValueError(
            "dropout draws a mask and needs dropout_key: "
            f"dropout_p={dropout_p}, dropout_key=jax.random.key(0)"
        )
    if enable_gqa:
        key, value = (_repeated(x, query, name) for x, name in ((key, "key"), (value, "value")))
    if is_causal:
        attn_mask = jnp.tri(query.shape[-2], key.shape[-2], dtype=bool)
    dropout = Dropout(
        dropout_p, rngs=None if dropout_key is None else nnx.Rngs(dropout=dropout_key)
    )
    query, key, value, *mask = _aligned(query, key, value, attn_mask)
    bias = as_bias(mask[0], compute_dtype(query.dtype)) if mask else None
    return attend(query, key, value, bias, scale, softmax_or_zeros, dropout)[0]


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    bias: jax.Array | None,
    scale: float | None,
    softmax: Callable[[jax.Array], jax.Array],
    dropout: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Return output and weights of attention; the arrays have one rank, and ``bias`` is added."""
    dtype, wide = query.dtype, compute_dtype(query.dtype)
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    scores = jnp.matmul(query, jnp.matrix_transpose(key), preferred_element_type=wide) * factor
    if bias is not None:
        scores = scores + bias
    weights = dropout(softmax(scores).astype(dtype))
    return jnp.matmul(weights, value, preferred_element_type=wide).astype(dtype), weights


def softmax_or_zeros(scores: jax.Array) -> jax.Array:
    """Softmax over the last axis, but zeros where every score is -inf (and where there is none)."""
    highest = jnp.max(scores, -1, keepdims=True, initial=-jnp.inf)
    highest = jax.lax.stop_gradient(jnp.where(highest == -jnp.inf, 0.0, highest))
    shares = jnp.exp(scores - highest)
    total = jnp.sum(shares, -1, keepdims=True)
    return shares / jnp.where(total == 0, 1.0, total)


def _check_arrays(
    query: jax.Array, key: jax.Array, value: jax.Array, attn_mask: jax.Array | None
) -> None:
    """Check dtypes and the axes that matrix products contract."""
    if not query.dtype == key.dtype == value.dtype:
        raise TypeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    if not jnp.issubdtype(query.dtype, jnp.floating):
        raise TypeError(f"Expected query, key, and value to be floating, but got {query.dtype}")
    if attn_mask is not None and attn_mask.dtype not in (jnp.bool, jnp.float32, query.dtype):
        raise TypeError(
            "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
            f"attn_mask.dtype: {attn_mask.dtype} and  query.dtype: {query.dtype} instead."
        )
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ValueError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.ndim} key.dim: {key.ndim} and value.dim: {value.ndim} instead."
        )
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            "Expected query (..., L, E), key (..., S, E) and value (..., S, Ev), but got shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        )


def _repeated(array: jax.Array, query: jax.Array, name: str) -> jax.Array:
    """Repeat the heads of keys or values, so that each serves neighbouring heads of queries."""
    if query.ndim < 3 or array.ndim < 3:
        raise ValueError(
            f"enable_gqa needs an axis of heads, but query has shape {query.shape} and {name} "
            f"{array.shape}"
        )
    heads, given = query.shape[-3], array.shape[-3]
    if given == 0 or heads % given != 0:
        raise ValueError(
            "Number of heads in key and value must divide the number of heads in query, but got "
            f"{given} heads in {name} and {heads} in query"
        )
    return jnp.repeat(array, heads // given, axis=-3)


def _aligned(
    query: jax.Array, key: jax.Array, value: jax.Array, mask: jax.Array | None
) -> list[jax.Array]:
    """Return all that is given with one number of axes; the leading ones must broadcast."""
    arrays = [query, key, value] if mask is None else [query, key, value, mask]
    batch = [x.shape[:-2] for x in arrays[:3]]
    try:
        scores = (*jnp.broadcast_shapes(*batch), query.shape[-2], key.shape[-2])
    except ValueError as error:
        raise ValueError(
            "The leading axes of query, key and value must broadcast, but got shapes "
            f"{query.shape}, {key.shape} and {value.shape}"
        ) from error
    if mask is not None:
        fits = mask.ndim <= len(scores) and all(
            size in (1, full) for size, full in zip(mask.shape[::-1], scores[::-1], strict=False)
        )
        if not fits:
            raise ValueError(f"attn_mask of shape {mask.shape} does not broadcast to {scores}")
    return [x.reshape((1,) * (len(scores) - x.ndim) + x.shape) for x in arrays]
