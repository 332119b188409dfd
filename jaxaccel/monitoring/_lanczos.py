"""Lanczos' recursion with full reorthogonalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_NOTHING_LEFT = 10.0
"""Times epsilon and the largest number so far: a shorter rest is rounding."""


class Ritz(NamedTuple):
    """What Lanczos knows of a symmetric matrix after some products."""

    values: np.ndarray
    """Approximate eigenvalues in ascending order, float64."""
    weights: np.ndarray
    """The share of the first vector in each: with a random one an estimate of the density."""
    errors: np.ndarray
    """Within which distance of each value an eigenvalue is for certain, but for rounding."""


def lanczos(
    product: Callable[[jax.Array], jax.Array], size: int, steps: int, key: jax.Array, dtype: Any
) -> tuple[jax.Array, jax.Array]:
    """Return diagonal and off-diagonal of the tridiagonal matrix, both of ``steps`` numbers.

    The last number beside the diagonal is of the rest that is left. Every vector is made orthogonal
    to all before it, twice, without which rounding brings the first eigenvalues back again and
    again. Where nothing is left, as for the identity after one step, a new direction begins: a zero
    beside the diagonal.
    """

    def orthogonal(vector: jax.Array, basis: jax.Array) -> jax.Array:
        for _ in range(2):
            vector = vector - (basis @ vector) @ basis
        return vector

    def unit(vector: jax.Array) -> jax.Array:
        return vector / jnp.linalg.norm(vector)

    keys = jax.random.split(key, steps + 1)

    def step(carry: Any, at: Any) -> Any:
        basis, vector, largest = carry
        index, own_key = at
        basis = basis.at[index].set(vector)
        image = product(vector)
        alpha = jnp.vdot(vector, image)
        rest = orthogonal(image, basis)
        beta = jnp.linalg.norm(rest)
        largest = jnp.maximum(largest, jnp.abs(alpha) + beta)
        is_left = beta > _NOTHING_LEFT * jnp.finfo(dtype).eps * largest
        anew = orthogonal(jax.random.normal(own_key, (size,), dtype), basis)
        vector = unit(jnp.where(is_left, rest, anew))
        return (basis, vector, largest), (alpha, jnp.where(is_left, beta, 0))

    start = unit(jax.random.normal(keys[-1], (size,), dtype))
    zeros = jnp.zeros((steps, size), dtype)
    counted = jnp.arange(steps, dtype=jnp.int32), keys[:-1]
    return jax.lax.scan(step, (zeros, start, jnp.zeros((), dtype)), counted)[1]


def ritz(alphas: Any, betas: Any) -> Ritz:
    """Return the eigenvalues of the tridiagonal matrix, in float64."""
    diagonal, beside = (np.asarray(numbers, np.float64) for numbers in (alphas, betas))
    matrix = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    values, vectors = np.linalg.eigh(matrix)
    return Ritz(values, vectors[0] ** 2, np.abs(beside[-1] * vectors[-1]))
