"""Attention as a function of queries, keys and values."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel._types import Key
from jaxaccel.functional._attention_blocks import attend_in_blocks
from jaxaccel.functional._attention_kernels import (
    CUDNN,
    FLASH,
    cudnn_attention,
    flash_attention,
    obstacle,
    runs_on_cudnn,
)

SHORT = 512
"""The most keys with which all queries are computed at once, unless an implementation is named.

Blocks compute the scores again in the backward pass. What they save is the weights that wait for
that pass, which are few where there are few keys.
"""


@checked
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
    implementation: str | None = None,
) -> jax.Array:
    r"""Return for each query the mean of the values, weighted by how well their keys match it.

    .. math::
        \text{softmax}\left(\text{scale} \cdot Q K^T + \text{mask}\right) V

    A query whose mask leaves no key gives zeros, and zero gradients. Scores and softmax are
    computed in at least float32.

    Memory is linear in L and in S. Beyond 512 keys the L x S scores never exist as a whole: 128
    queries are computed at a time, and again in the backward pass, in every mode of differentiation
    and under every sharding of batch, heads and L. Up to 512, all are computed at once, which moves
    fewer bytes. On NVIDIA GPUs cuDNN takes over where it can.

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
        implementation: None for ``"cudnn"`` on an NVIDIA GPU of compute capability 8 or more where
            it can, and otherwise ``"plain"`` up to 512 keys and ``"blockwise"`` beyond. These take
            everything and run everywhere: ``"plain"`` computes all queries at once,
            ``"blockwise"`` 128 at a time, and again in the backward pass. ``"cudnn"`` takes
            bfloat16 and float16, (N, heads, L, E) and E = Ev, a multiple of 8 up to 128;
            ``"flash"``, JAX's kernel for TPUs, bfloat16 and float32, L and S multiples of 128,
            E = Ev up to 128 or a multiple of it. Neither takes ``attn_mask`` or dropout or has a
            forward mode; ``"cudnn"`` shards over batch and heads alone, and ``"flash"`` on many
            devices belongs in ``jax.shard_map``.

    Returns:
        (..., heads, L, Ev), in the dtype of ``query``.

    Raises:
        ValueError: shapes that do not go together, ``attn_mask`` with ``is_causal``, ``dropout_p``
            outside [0, 1], a mask to draw and no ``dropout_key``, or an ``implementation`` that is
            unknown or does not take the arguments.
        TypeError: dtypes that differ, or a mask that is neither boolean nor floating.

    PyTorch:
        ``torch.nn.functional.scaled_dot_product_attention``: the same, with dropout from JAX's
        random bits. It has no ``dropout_key``, chooses by the context manager ``sdpa_kernel`` what
        ``implementation`` says here, lets a negative ``dropout_p`` pass, and raises
        ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> attend = ja.functional.scaled_dot_product_attention
        >>> one, values = jnp.ones((3, 1)), jnp.array([[1.0], [2.0], [3.0]])
        >>> attend(one, one, values, is_causal=True).ravel().tolist()
        [1.0, 1.5, 2.0]

    References:
        Vaswani et al. Attention Is All You Need. 2017. https://arxiv.org/abs/1706.03762
        Ainslie et al. GQA: Training Generalized Multi-Query Transformer Models from Multi-Head
        Checkpoints. 2023. https://arxiv.org/abs/2305.13245
        Rabe and Staats. Self-attention Does Not Need O(n^2) Memory. 2021.
        https://arxiv.org/abs/2112.05682
    """
    _check_arrays(query, key, value, attn_mask)
    if is_causal and attn_mask is not None:
        raise ValueError(
            "_scaled_dot_product_attention: Explicit attn_mask should not be set when "
            "is_causal=True"
        )
    check_dropout(dropout_p, dropout_key)
    if enable_gqa:
        key, value = (_repeated(x, query, name) for x, name in ((key, "key"), (value, "value")))
    query, key, value, *masks = _aligned(query, key, value, attn_mask)
    return attention(
        query, key, value, masks, is_causal, scale, dropout_p, dropout_key, implementation
    )


@operation("scaled_dot_product_attention", low=("query", "key", "value"), has_wide=False)
def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    masks: Sequence[jax.Array],
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
    dropout_key: Key | None,
    implementation: str | None = None,
) -> jax.Array:
    """Return the output of attention of arrays of one rank, by one of the implementations."""
    arrays = query, key, value
    scale = None if scale is None else float(scale)
    in_blocks = functools.partial(
        attend_in_blocks,
        masks=masks,
        is_causal=is_causal,
        scale=scale,
        dropout_p=dropout_p,
        dropout_key=dropout_key,
    )
    plain = functools.partial(in_blocks, at_once=max(query.shape[-2], 1))
    if implementation == "blockwise":
        return in_blocks(*arrays)
    if implementation == "plain":
        return plain(*arrays)
    cudnn = functools.partial(cudnn_attention, is_causal=is_causal, scale=scale)
    if implementation is None:
        own = plain if key.shape[-2] <= SHORT else in_blocks
        if obstacle(CUDNN, *arrays, masks, dropout_p) is None and runs_on_cudnn():
            return jax.lax.platform_dependent(*arrays, cuda=cudnn, default=own)
        return own(*arrays)
    limits = {"cudnn": CUDNN, "flash": FLASH}.get(implementation)
    if limits is None:
        raise ValueError(
            "implementation must be None, 'plain', 'blockwise', 'cudnn' or 'flash', but got "
            f"{implementation!r}"
        )
    reason = obstacle(limits, *arrays, masks, dropout_p)
    if reason is not None:
        raise ValueError(
            f"implementation={implementation!r} {reason}; implementation='blockwise' takes all"
        )
    return cudnn(*arrays) if limits is CUDNN else flash_attention(*arrays, is_causal, scale)


def check_dropout(dropout_p: float, dropout_key: Key | None) -> None:
    """Raise unless the probability is one, and there is a key where a mask is drawn."""
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if 0 < dropout_p < 1 and dropout_key is None:
        raise ValueError(
            "dropout draws a mask and needs dropout_key: "
            f"dropout_p={dropout_p}, dropout_key=jax.random.key(0)"
        )


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
