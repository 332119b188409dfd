"""Attention by the fused kernels of others: cuDNN's on GPUs, and JAX's Pallas kernel on TPUs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Limits(NamedTuple):
    """What a kernel takes; everything else is computed in blocks."""

    name: str
    dtypes: tuple[Any, ...]
    lengths: str
    """Of the vectors."""
    takes_length: Any
    divisor: int
    """Of L and S."""
    takes_x64: bool


CUDNN = Limits(
    "cudnn",
    (jnp.bfloat16, jnp.float16),
    "a multiple of 8 up to 128",
    lambda length: length % 8 == 0 and 0 < length <= 128,
    1,
    True,
)
FLASH = Limits(
    "flash",
    (jnp.bfloat16, jnp.float32),
    "up to 128 or a multiple of it",
    lambda length: 0 < length <= 128 or length % 128 == 0,
    128,
    False,
)


def obstacle(
    limits: Limits,
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    masks: Sequence[jax.Array],
    dropout_p: float,
) -> str | None:
    """Return what keeps a kernel from computing this attention, or None."""
    shapes = f"query {query.shape}, key {key.shape} and value {value.shape}"
    if query.dtype not in limits.dtypes:
        names = " or ".join(jnp.dtype(dtype).name for dtype in limits.dtypes)
        return f"takes {names}, but got {query.dtype}"
    if jax.config.read("jax_enable_x64") and not limits.takes_x64:
        return "does not compile with jax_enable_x64"
    if masks:
        return "takes no attn_mask, only is_causal"
    if dropout_p != 0:
        return f"has no dropout, but got dropout_p={dropout_p}"
    if query.ndim != 4 or not query.shape[:2] == key.shape[:2] == value.shape[:2]:
        return f"takes (N, heads, L, E) of one N and as many heads, but got {shapes}"
    if value.shape[-1] != query.shape[-1] or not limits.takes_length(query.shape[-1]):
        return f"takes vectors of one length, {limits.lengths}, but got {shapes}"
    if any(x.shape[-2] == 0 or x.shape[-2] % limits.divisor for x in (query, key)):
        return f"takes an L and S that are positive multiples of {limits.divisor}, but got {shapes}"
    return None


def cudnn_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, is_causal: bool, scale: float | None
) -> jax.Array:
    """Return attention by cuDNN's kernel, which has the heads next to last."""
    query, key, value = (jnp.swapaxes(x, 1, 2) for x in (query, key, value))
    output = jax.nn.dot_product_attention(
        query, key, value, scale=scale, is_causal=is_causal, implementation="cudnn"
    )
    return jnp.swapaxes(output, 1, 2)


def flash_attention(
    query: jax.Array, key: jax.Array, value: jax.Array, is_causal: bool, scale: float | None
) -> jax.Array:
    """Return attention by the kernel for TPUs that comes with JAX."""
    from jax.experimental.pallas.ops.tpu import flash_attention as pallas  # heavy to import

    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    return pallas.flash_attention(query, key, value, causal=is_causal, sm_scale=factor)


def runs_on_cudnn() -> bool:
    """Return whether this process computes on GPUs that cuDNN's kernel is for: Ampere or later."""
    device: Any = jax.devices()[0]
    return "cuda" in device.client.platform_version and float(device.compute_capability) >= 8
