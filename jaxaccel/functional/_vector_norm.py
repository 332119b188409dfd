"""The p-norm of vectors, with PyTorch's gradients."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from jaxaccel.functional._reduction import magnitude


def vector_norm(x: jax.Array, p: float, axes: tuple[int, ...]) -> jax.Array:
    """Return the p-norm along axes that stay; its gradient at 0 is 0, as in PyTorch."""
    is_zero = x == 0
    if p == 0:
        return jnp.sum(~is_zero, axes, dtype=x.dtype, keepdims=True)
    size = magnitude(x)
    if math.isinf(p):
        return (jnp.max if p > 0 else jnp.min)(size, axes, keepdims=True)
    if p == 1:
        return jnp.sum(size, axes, keepdims=True)
    of_zero = jnp.asarray(0.0 if p > 0 else math.inf, x.dtype)
    powers = x * x if p == 2 else jnp.where(is_zero, of_zero, jnp.where(is_zero, 1.0, size) ** p)
    total = jnp.sum(powers, axes, keepdims=True)
    positive = jnp.where(total == 0, 1.0, total)
    root = jnp.sqrt(positive) if p == 2 else positive ** (1 / p)
    return jnp.where(total == 0, 0.0, root)
