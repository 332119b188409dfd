"""Distances and angles of vectors."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    cosine_similarity,
    pairwise_distance,
)


class PairwiseDistance(nnx.Module):
    """The p-norm distances of vectors.

    ``layer(x1, x2)`` is :func:`jaxaccel.functional.pairwise_distance`.

    Args:
        as :func:`jaxaccel.functional.pairwise_distance`.

    Raises:
        as :func:`jaxaccel.functional.pairwise_distance`, from a call.

    PyTorch:
        ``torch.nn.PairwiseDistance``: as :func:`jaxaccel.functional.pairwise_distance` is to
        ``torch.nn.functional.pairwise_distance``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([[3.0, 4.0]]), jnp.zeros((1, 2))
        >>> round(float(ja.nn.PairwiseDistance()(x1, x2)[0]), 4)
        5.0
    """

    @checked
    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    @checked
    def __call__(self, x1: jax.Array, x2: jax.Array) -> jax.Array:
        """Return the distances."""
        return pairwise_distance(x1, x2, p=self.norm, eps=self.eps, keepdim=self.keepdim)


class CosineSimilarity(nnx.Module):
    """The cosines of the angles between vectors.

    ``layer(x1, x2)`` is :func:`jaxaccel.functional.cosine_similarity`.

    Args:
        as :func:`jaxaccel.functional.cosine_similarity`.

    Raises:
        as :func:`jaxaccel.functional.cosine_similarity`, from a call.

    PyTorch:
        ``torch.nn.CosineSimilarity``: as :func:`jaxaccel.functional.cosine_similarity` is to
        ``torch.nn.functional.cosine_similarity``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([[1.0, 0.0]]), jnp.array([[2.0, 2.0]])
        >>> round(float(ja.nn.CosineSimilarity()(x1, x2)[0]), 4)
        0.7071
    """

    @checked
    def __init__(self, dim: int = 1, eps: float = 1e-8):
        self.dim = dim
        self.eps = eps

    @checked
    def __call__(self, x1: jax.Array, x2: jax.Array) -> jax.Array:
        """Return the cosines."""
        return cosine_similarity(x1, x2, dim=self.dim, eps=self.eps)
