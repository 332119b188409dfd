"""Losses of what lacks of a margin: scores, orders, angles."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    cosine_embedding_loss,
    hinge_embedding_loss,
    margin_ranking_loss,
    soft_margin_loss,
)
from jaxaccel.nn._arguments import check_reduction


class SoftMarginLoss(nnx.Module):
    """The logistic loss of scores and their signs.

    ``loss(input, target)`` is :func:`jaxaccel.functional.soft_margin_loss`.

    Args:
        as :func:`jaxaccel.functional.soft_margin_loss`.

    Raises:
        as :func:`jaxaccel.functional.soft_margin_loss`: for ``reduction`` at once, for the rest
        from a call.

    PyTorch:
        ``torch.nn.SoftMarginLoss``: as :func:`jaxaccel.functional.soft_margin_loss` is to
        ``torch.nn.functional.soft_margin_loss``. Left out: ``size_average`` and ``reduce``,
        which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.0, -100.0]), jnp.array([1, 1])
        >>> ja.nn.SoftMarginLoss("none")(x, y).round(4).tolist()
        [0.6930999755859375, 100.0]
    """

    @checked
    def __init__(self, reduction: str = "mean"):
        check_reduction(reduction)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return soft_margin_loss(input, target, reduction=self.reduction)


class HingeEmbeddingLoss(nnx.Module):
    """What distances that are to be short are, and what others lack of a margin.

    ``loss(input, target)`` is :func:`jaxaccel.functional.hinge_embedding_loss`.

    Args:
        as :func:`jaxaccel.functional.hinge_embedding_loss`.

    Raises:
        as :func:`jaxaccel.functional.hinge_embedding_loss`: for ``reduction`` at once, for the
        rest from a call.

    PyTorch:
        ``torch.nn.HingeEmbeddingLoss``: as :func:`jaxaccel.functional.hinge_embedding_loss` is
        to ``torch.nn.functional.hinge_embedding_loss``. Left out: ``size_average`` and
        ``reduce``, which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.5, 0.25, 3.0]), jnp.array([1, -1, -1])
        >>> ja.nn.HingeEmbeddingLoss(reduction="none")(x, y).tolist()
        [0.5, 0.75, 0.0]
    """

    @checked
    def __init__(self, margin: float = 1.0, reduction: str = "mean"):
        check_reduction(reduction)
        self.margin = margin
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(nnx.Module):
    """By how much two scores are in the wrong order.

    ``loss(input1, input2, target)`` is :func:`jaxaccel.functional.margin_ranking_loss`.

    Args:
        as :func:`jaxaccel.functional.margin_ranking_loss`.

    Raises:
        as :func:`jaxaccel.functional.margin_ranking_loss`: for ``reduction`` at once, for the
        rest from a call.

    PyTorch:
        ``torch.nn.MarginRankingLoss``: as :func:`jaxaccel.functional.margin_ranking_loss` is to
        ``torch.nn.functional.margin_ranking_loss``. Left out: ``size_average`` and ``reduce``,
        which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, b, y = jnp.array([1.0, 3.0]), jnp.array([2.0, 1.0]), jnp.array([1.0, 1.0])
        >>> float(ja.nn.MarginRankingLoss()(a, b, y))
        0.5
    """

    @checked
    def __init__(self, margin: float = 0.0, reduction: str = "mean"):
        check_reduction(reduction)
        self.margin = margin
        self.reduction = reduction

    @checked
    def __call__(self, input1: jax.Array, input2: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class CosineEmbeddingLoss(nnx.Module):
    """What the cosines of vectors lack of 1, or are above a margin.

    ``loss(input1, input2, target)`` is :func:`jaxaccel.functional.cosine_embedding_loss`.

    Args:
        as :func:`jaxaccel.functional.cosine_embedding_loss`.

    Raises:
        as :func:`jaxaccel.functional.cosine_embedding_loss`: for ``reduction`` at once, for the
        rest from a call.

    PyTorch:
        ``torch.nn.CosineEmbeddingLoss``: as :func:`jaxaccel.functional.cosine_embedding_loss`
        is to ``torch.nn.functional.cosine_embedding_loss``. Left out: ``size_average`` and
        ``reduce``, which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x1, x2 = jnp.array([3.0, 4.0]), jnp.array([1.0, 0.0])
        >>> round(float(ja.nn.CosineEmbeddingLoss()(x1, x2, jnp.array(1))), 4)
        0.4
    """

    @checked
    def __init__(self, margin: float = 0.0, reduction: str = "mean"):
        check_reduction(reduction)
        self.margin = margin
        self.reduction = reduction

    @checked
    def __call__(self, input1: jax.Array, input2: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )
