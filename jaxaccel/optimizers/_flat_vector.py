"""A tree of parameters as one real vector, as PyTorch's L-BFGS sees it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._math import as_complex, as_real_pairs, widest


def flat_dtype(leaves: list[Any]) -> Any:
    """Return the dtype of the vector: the widest real dtype of the leaves, at least float32."""
    return widest(jnp.float32, *(jnp.finfo(jnp.result_type(leaf)).dtype for leaf in leaves))


def real_size(leaf: Any) -> int:
    """Return how many reals a leaf holds: none where there is no leaf."""
    return 0 if leaf is None else jnp.size(leaf) * (2 if jnp.iscomplexobj(leaf) else 1)


def ravel(leaves: list[Any], like: list[Any], dtype: Any) -> jax.Array:
    """Return leaves one after the other; one that is ``None`` is zeros in the size of ``like``."""
    parts = [jnp.zeros(0, dtype)]
    for leaf, other in zip(leaves, like, strict=True):
        if leaf is None:
            parts.append(jnp.zeros(real_size(other), dtype))
        else:
            real = as_real_pairs(leaf) if jnp.iscomplexobj(leaf) else jnp.asarray(leaf)
            parts.append(jnp.ravel(real).astype(dtype))
    return jnp.concatenate(parts)


def unravel(vector: jax.Array, like: list[Any]) -> list[Any]:
    """Return the vector's leaves in the shapes and dtypes of ``like``."""
    # One split, whose derivative is one concatenation.
    pieces = jax.lax.split(vector, [0, *map(real_size, like)])[1:]
    leaves = []
    for piece, leaf in zip(pieces, like, strict=True):
        if leaf is None:
            leaves.append(None)
        elif jnp.iscomplexobj(leaf):
            pairs = piece.reshape((*jnp.shape(leaf), 2))
            leaves.append(as_complex(pairs.astype(jnp.finfo(leaf.dtype).dtype)))
        else:
            leaves.append(piece.reshape(jnp.shape(leaf)).astype(jnp.result_type(leaf)))
    return leaves


def dot(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the inner product, in full precision on accelerators too."""
    return jnp.dot(a, b, precision=jax.lax.Precision.HIGHEST)


def largest(vector: jax.Array) -> jax.Array:
    """Return the largest magnitude: 0 if there is none."""
    return jnp.max(jnp.abs(vector), initial=0.0)
