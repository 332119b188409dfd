"""What multi-head attention asks of its inputs and makes of its masks, with PyTorch's texts."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def check_shapes(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    key_padding_mask: jax.Array | None,
    attn_mask: jax.Array | None,
    num_heads: int,
) -> None:
    """Check the numbers of axes: 3 for batches, 2 without one."""
    if query.ndim not in (2, 3):
        raise ValueError(
            "query should be unbatched 2D or batched 3D tensor but received "
            f"{query.ndim}-D query tensor"
        )
    kind = ("unbatched (2-D)", "batched (3-D)")[query.ndim - 2]
    if not query.ndim == key.ndim == value.ndim:
        raise ValueError(
            f"For {kind} `query`, expected `key` and `value` to be {query.ndim}-D but found "
            f"{key.ndim}-D and {value.ndim}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.ndim != query.ndim - 1:
        raise ValueError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {query.ndim - 1}-D "
            f"but found {key_padding_mask.ndim}-D tensor instead"
        )
    if attn_mask is not None and attn_mask.ndim not in (2, 3):
        raise ValueError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found "
            f"{attn_mask.ndim}-D tensor instead"
        )
    if query.ndim == 2 and attn_mask is not None and attn_mask.ndim == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if attn_mask.shape != expected:
            raise ValueError(
                f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}"
            )


def check_lengths(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    lengths: tuple[int, int, int],
    batch_first: bool,
) -> None:
    """Check vectors, which have ``lengths``, sequences and batches."""
    if query.shape[-1] != lengths[0]:
        raise ValueError(
            f"was expecting embedding dimension of {lengths[0]}, but got {query.shape[-1]}"
        )
    if key.shape[:-1] != value.shape[:-1]:
        raise ValueError(f"key shape {key.shape} does not match value shape {value.shape}")
    for name, array, length in (("key", key, lengths[1]), ("value", value, lengths[2])):
        if array.shape[-1] != length:
            raise ValueError(
                f"was expecting {name} dimension of {length}, but got {array.shape[-1]}"
            )
    axis = 0 if batch_first else 1
    if query.ndim == 3 and query.shape[axis] != key.shape[axis]:
        raise ValueError(
            f"query shape {query.shape} and key shape {key.shape} differ in the size of the batch, "
            f"which is axis {axis} (batch_first={batch_first})"
        )


def seen_masks(
    attn_mask: jax.Array | None,
    key_padding_mask: jax.Array | None,
    shape: tuple[int, int, int, int],
) -> list[jax.Array]:
    """Return the masks for scores of ``shape`` (N, heads, L, S), where True is seen."""
    batch, heads, targets, sources = shape
    masks = []
    if attn_mask is not None:
        axes = attn_mask.ndim
        expected = (targets, sources) if axes == 2 else (batch * heads, targets, sources)
        if attn_mask.shape != expected:
            raise ValueError(
                f"The shape of the {axes}D attn_mask is {attn_mask.shape}, but should be "
                f"{expected}."
            )
        seen = _seen(attn_mask, "attn_mask")
        masks.append(seen.reshape((1, 1, *expected) if axes == 2 else shape))
    if key_padding_mask is not None:
        for axis, expected in enumerate((batch, sources)):
            if key_padding_mask.shape[axis] != expected:
                raise ValueError(
                    f"Expected key_padded_mask.shape[{axis}] to be {expected}, but got "
                    f"{key_padding_mask.shape[axis]}"
                )
        seen = _seen(key_padding_mask, "key_padding_mask")
        masks.append(seen.reshape(batch, 1, 1, sources))
    return masks


def _seen(mask: jax.Array, name: str) -> jax.Array:
    """Return a mask whose boolean form says True for what is *not* seen as one that says it is."""
    if mask.dtype != jnp.bool and not jnp.issubdtype(mask.dtype, jnp.floating):
        raise TypeError(f"only bool and floating types of {name} are supported")
    return ~mask if mask.dtype == jnp.bool else mask
