"""Maps from matrices to orthogonal ones: tall (..., n, k), n >= k, to orthonormal columns."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def matrix_exp(x: jax.Array) -> jax.Array:
    """Return the exponential of a skew-symmetric matrix."""
    return jax.scipy.linalg.expm(_skew(x))[..., : x.shape[-1]]


def cayley(x: jax.Array) -> jax.Array:
    """Return Cayley's ``(I - A / 2)^-1 (I + A / 2)`` of a skew-symmetric matrix ``A``."""
    half = _skew(x) / 2
    identity = jnp.broadcast_to(jnp.eye(half.shape[-1], dtype=x.dtype), half.shape)
    return jnp.linalg.solve(identity - half, identity + half)[..., : x.shape[-1]]


def householder(x: jax.Array) -> jax.Array:
    r"""Return the product of the reflections along the columns below the diagonal.

    Together they are ``I - V T V'``, with an upper triangular ``T`` whose inverse has half the
    diagonal of ``V'V``, and what is above it (Joffrain et al. Accumulating Householder
    Transformations, Revisited. 2006): products of matrices instead of a loop over columns. The
    diagonal of ``x`` holds the columns' signs, which are constants.
    """
    n, k = x.shape[-2:]
    identity = jnp.broadcast_to(jnp.eye(n, k, dtype=x.dtype), x.shape)
    v = jnp.tril(x, -1) + identity
    gram = jnp.swapaxes(v, -1, -2) @ v
    inverse = jnp.triu(gram) - gram * (identity[..., :k, :] / 2)
    top = jnp.swapaxes(v[..., :k, :], -1, -2)
    q = identity - v @ jax.scipy.linalg.solve_triangular(inverse, top)
    # PyTorch rounds the signs towards zero, as integers.
    signs = jax.lax.stop_gradient(jnp.trunc(jnp.diagonal(x, axis1=-2, axis2=-1)))
    return q * jnp.expand_dims(signs, -2)


def householder_inverse(q: jax.Array) -> jax.Array:
    """Return what :func:`householder` maps to the orthonormal factor of a tall matrix."""
    reflectors, tau = jnp.linalg.qr(q, mode="raw")
    x = jnp.swapaxes(reflectors, -1, -2)
    # Where LAPACK leaves a reflection out, the map has one all the same: the sign undoes it.
    signs = jnp.sign(jnp.diagonal(x, axis1=-2, axis2=-1)) * jnp.where(tau == 0, -1, 1).astype(
        x.dtype
    )
    identity = jnp.broadcast_to(jnp.eye(*x.shape[-2:], dtype=x.dtype), x.shape)
    return x * (1 - identity) + identity * jnp.expand_dims(signs, -2)


def orthonormal(matrix: jax.Array) -> jax.Array:
    """Return Q of the decomposition in which R has no negative number on its diagonal."""
    q, r = jnp.linalg.qr(matrix)
    return q * jnp.expand_dims(jnp.sign(jnp.diagonal(r, axis1=-2, axis2=-1)), -2)


def is_orthonormal(q: jax.Array) -> jax.Array:
    """Return whether square matrices are orthogonal, all of them, as PyTorch judges it."""
    n = q.shape[-1]
    found = jnp.swapaxes(q, -1, -2) @ q
    identity = jnp.broadcast_to(jnp.eye(n, dtype=q.dtype), found.shape)
    return jnp.allclose(found, identity, atol=10 * n * float(jnp.finfo(q.dtype).eps))


def _skew(x: jax.Array) -> jax.Array:
    """Return the skew-symmetric square matrix that has a tall one's lower triangle."""
    n, k = x.shape[-2:]
    square = jnp.pad(jnp.tril(x), [(0, 0)] * (x.ndim - 1) + [(0, n - k)])
    return square - jnp.swapaxes(square, -1, -2)
