"""Attention in plain JAX, for all queries at once or for some at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import compute_dtype
from jaxaccel._types import Key
from jaxaccel.functional._dropout import dropout

QUERIES = 128
"""The most queries of a block. Scores need memory for ``QUERIES * S`` numbers per head."""


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    masks: Sequence[jax.Array],
    positions: jax.Array | None,
    scale: float | None,
    softmax: Callable[[jax.Array, Any], jax.Array],
    dropout_p: float,
    dropout_key: Key | None,
) -> tuple[jax.Array, jax.Array]:
    """Return output and weights of attention.

    The arrays have one rank. ``masks`` are boolean (True is seen) or added to the scores. With
    ``positions`` the query at position i sees the keys 0 to i.
    """
    dtype, wide = query.dtype, compute_dtype(query.dtype)
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else float(scale)
    scores = jnp.matmul(query, jnp.matrix_transpose(key), preferred_element_type=wide) * factor
    if positions is not None:
        keys = jnp.arange(key.shape[-2], dtype=positions.dtype)
        seen = jax.lax.expand_dims(positions, [1]) >= jax.lax.expand_dims(keys, [0])
        masks = [*masks, jax.lax.expand_dims(seen, range(scores.ndim - 2))]
    for mask in masks:
        scores = scores + _as_bias(mask, wide)
    weights = dropout(softmax(scores, dtype), dropout_p, key=dropout_key)
    return jnp.matmul(weights, value, preferred_element_type=wide).astype(dtype), weights


def attend_in_blocks(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    masks: Sequence[jax.Array],
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
    dropout_key: Key | None,
    at_once: int | None = None,
) -> jax.Array:
    """Return the output of :func:`attend`; the scores of at most ``at_once`` queries exist."""
    length = query.shape[-2]
    count = math.ceil(length / (QUERIES if at_once is None else at_once))
    if count > 1:
        own = {"is_causal": is_causal, "scale": scale, "dropout_p": dropout_p, "count": count}
        return _attend_in_turn(query, key, value, masks, dropout_key, **own)
    positions = jnp.arange(length, dtype=jnp.int32) if is_causal else None
    return attend(
        query, key, value, masks, positions, scale, softmax_or_zeros, dropout_p, dropout_key
    )[0]


# Compiled here, or outside of a jit every call would compile its loop anew.
@functools.partial(jax.jit, static_argnames=("is_causal", "scale", "dropout_p", "count"))
def _attend_in_turn(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    masks: Sequence[jax.Array],
    dropout_key: Key | None,
    *,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
    count: int,
) -> jax.Array:
    """Return the output of :func:`attend`, computed for one of ``count`` blocks after the other.

    A block has some queries and all keys, so that its arithmetic is that of :func:`attend`. The
    backward pass computes it anew, which makes memory linear in L. Derivatives of any mode and
    order, and the partitioning of every axis, are JAX's own.
    """
    dtype, wide, length = query.dtype, compute_dtype(query.dtype), query.shape[-2]
    rows = math.ceil(length / count)
    # What all blocks share sums up their gradients, and needs all digits for it.
    key, value = key.astype(wide), value.astype(wide)
    masks = [mask if mask.dtype == jnp.bool else mask.astype(wide) for mask in masks]

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def attend_block(block: tuple) -> jax.Array:
        index, query, own_masks = block
        seen = [mask if own is None else own for mask, own in zip(masks, own_masks, strict=True)]
        positions = None
        if is_causal:
            positions = index + count * jnp.arange(rows, dtype=jnp.int32)
            positions = jnp.minimum(positions, length - 1)
        own_key = None if dropout_key is None else jax.random.fold_in(dropout_key, index)
        shared, draw = (key.astype(dtype), value.astype(dtype)), (dropout_p, own_key)
        # No weights wait here for the backward pass, which has the scores anew.
        return attend(query, *shared, seen, positions, scale, _shares, *draw)[0]

    own_masks = [_split(m, count, rows) if m.shape[-2] == length else None for m in masks]
    indices = jnp.arange(count, dtype=jnp.int32)
    output = jax.lax.map(attend_block, (indices, _split(query, count, rows), own_masks))
    output = jnp.moveaxis(output, 0, -2)
    return output.reshape(*output.shape[:-3], rows * count, -1)[..., :length, :]


def softmax_or_zeros(scores: jax.Array, dtype: Any) -> jax.Array:
    """Softmax over the last axis, but zeros where every score is -inf (and where there is none)."""
    return (_shares if scores.dtype == dtype else _rounded_shares)(scores, dtype)


def _shares(scores: jax.Array, dtype: Any) -> jax.Array:
    """Return the softmax, whose gradient needs the scores."""
    highest = jnp.max(scores, -1, keepdims=True, initial=-jnp.inf)
    highest = jax.lax.stop_gradient(jnp.where(highest == -jnp.inf, 0.0, highest))
    shares = jnp.exp(scores - highest)
    total = jnp.sum(shares, -1, keepdims=True)
    return (shares / jnp.where(total == 0, 1.0, total)).astype(dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _rounded_shares(scores: jax.Array, dtype: Any) -> jax.Array:
    """Return the softmax in half precision.

    Its gradient is a formula in the weights, rounded as the values see them, as in PyTorch. So no
    scores in float32, twice as large, wait for the backward pass.
    """
    return _shares(scores, dtype)


@_rounded_shares.defjvp
def _rounded_jvp(dtype: Any, primals: Any, tangents: Any) -> Any:
    """Return the weights and their tangent."""
    (moving,) = tangents
    weights = _rounded_shares(*primals, dtype)
    wide = weights.astype(moving.dtype)
    moved = wide * (moving - jnp.sum(wide * moving, -1, keepdims=True))
    return weights, moved.astype(dtype)


def _as_bias(mask: jax.Array, dtype: Any) -> jax.Array:
    """Return what a mask adds to scores: a floating one itself, a boolean one -inf for False."""
    if mask.dtype == jnp.bool:
        return jnp.where(mask, jnp.zeros((), dtype), jnp.full((), -jnp.inf, dtype))
    return mask.astype(dtype)


def _split(array: jax.Array, count: int, rows: int) -> jax.Array:
    """Turn (..., L, E) into blocks (count, ..., rows, E).

    A block takes every ``count``-th row, so that rows spread over devices stay where they are. The
    last row fills up: rows of zeros would turn infinite keys into NaN.
    """
    missing = rows * count - array.shape[-2]
    if missing:
        last = jnp.repeat(array[..., -1:, :], missing, axis=-2)
        array = jnp.concatenate([array, last], axis=-2)
    split = array.reshape(*array.shape[:-2], rows, count, array.shape[-1])
    return jnp.moveaxis(split, -2, 0)
