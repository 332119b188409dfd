"""A mean over devices of which each makes a part, sent in fewer bytes, with error feedback."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._math import as_complex, as_real_pairs, compute_dtype
from jaxaccel.parallel._comm_hook import CommHook, Memory
from jaxaccel.parallel._per_device import mean_over


class Code(NamedTuple):
    """How numbers travel: buckets of them, along the last axis, as arrays of fewer bytes."""

    encode: Callable[[jax.Array], Sequence[jax.Array]]
    decode: Callable[[Sequence[jax.Array], Any], jax.Array]
    """``(code, dtype) -> numbers``."""
    bucket_size: int
    """The most numbers in a bucket."""


def exchanged(code: Code, few: int, remembers: bool) -> CommHook:
    """Return the hook whose devices exchange parts and sum each its own; ``few`` stay whole."""

    def init(params: dict[str, Any], devices: int) -> Memory:
        worker, server = {}, {}
        large = {name: leaf for name, leaf in params.items() if leaf.size >= few}
        for name, leaf in large.items():
            shape = _parts(leaf, devices, code)
            worker[name] = jnp.zeros(shape, compute_dtype(_real_dtype(leaf)))
            server[name] = jnp.zeros(shape[1:], compute_dtype(_real_dtype(leaf)))
        return Memory({"worker_error": worker, "server_error": server}, {})

    def reduce(
        grads: dict[str, Any], memory: Memory, axes: tuple[str, ...]
    ) -> tuple[dict[str, Any], Memory]:
        own = memory.own if remembers else init(grads, jax.lax.axis_size(axes)).own
        worker, server, means = dict(own["worker_error"]), dict(own["server_error"]), {}
        for name, grad in grads.items():
            if name not in worker:
                means[name] = mean_over(grad, axes)
                continue
            means[name], worker[name], server[name] = _mean(
                grad, worker[name], server[name], code, axes
            )
        kept = {"worker_error": worker, "server_error": server} if remembers else {}
        return means, memory._replace(own=kept)

    return CommHook(reduce, init if remembers else None)


def _mean(
    grad: jax.Array,
    worker_error: jax.Array,
    server_error: jax.Array,
    code: Code,
    axes: tuple[str, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Return the mean of a gradient over devices, and what the two roundings took away."""
    own = real(grad)
    parts, dtype = worker_error.shape, worker_error.dtype
    flat = jnp.pad(own.reshape(-1).astype(dtype), (0, math.prod(parts) - own.size))
    whole = flat.reshape(parts) + worker_error
    sent = code.encode(whole)
    came = [jax.lax.all_to_all(part, axes, 0, 0) for part in sent]
    part = jnp.mean(code.decode(came, dtype), axis=0) + server_error
    mean = code.encode(part)
    means = [jax.lax.all_gather(x, axes, to="invarying") for x in mean]
    found = code.decode(means, dtype).reshape(-1)[: own.size].reshape(own.shape)
    left = part - code.decode(mean, dtype)
    return like(found, grad), whole - code.decode(sent, dtype), left


def _parts(leaf: Any, devices: int, code: Code) -> tuple[int, int, int]:
    """Return (devices, buckets, numbers in a bucket) of a gradient in equal parts."""
    count = leaf.size * (2 if jnp.issubdtype(leaf.dtype, jnp.complexfloating) else 1)
    each = max(1, -(-count // devices))
    size = min(each, code.bucket_size)
    return devices, -(-each // size), size


def real(grad: jax.Array) -> jax.Array:
    """Return a gradient as real numbers."""
    return as_real_pairs(grad) if jnp.iscomplexobj(grad) else grad


def _real_dtype(leaf: Any) -> Any:
    """Return the dtype of a gradient's real numbers."""
    return jnp.finfo(leaf.dtype).dtype


def like(mean: jax.Array, grad: jax.Array) -> jax.Array:
    """Return real numbers as a gradient of the same dtype as before, complex or real."""
    mean = mean.astype(_real_dtype(grad))
    return as_complex(mean) if jnp.iscomplexobj(grad) else mean
