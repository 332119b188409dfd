"""Losses of triplets: an anchor that should be nearer to one than to another."""

from __future__ import annotations

from collections.abc import Callable

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import triplet_margin_loss, triplet_margin_with_distance_loss
from jaxaccel.nn._arguments import check_reduction


class TripletMarginLoss(nnx.Module):
    """By how much an anchor is not nearer to one example than to another.

    ``loss(anchor, positive, negative)`` is :func:`jaxaccel.functional.triplet_margin_loss`.

    Args:
        as :func:`jaxaccel.functional.triplet_margin_loss`.

    Raises:
        ValueError: a ``margin`` that is not positive; and what
            :func:`jaxaccel.functional.triplet_margin_loss` raises, from a call.

    PyTorch:
        ``torch.nn.TripletMarginLoss``: as :func:`jaxaccel.functional.triplet_margin_loss` is to
        ``torch.nn.functional.triplet_margin_loss``. Left out: ``size_average`` and ``reduce``,
        which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 2.0]])
        >>> round(float(ja.nn.TripletMarginLoss()(a, p, n)), 4)
        4.0
    """

    @checked
    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ):
        if margin <= 0:
            raise ValueError(
                f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead"
            )
        check_reduction(reduction)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap
        self.reduction = reduction

    @checked
    def __call__(self, anchor: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
        """Return the loss."""
        return triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(nnx.Module):
    """By how much an anchor is not nearer to one example than to another, by any distance.

    ``loss(anchor, positive, negative)`` is
    :func:`jaxaccel.functional.triplet_margin_with_distance_loss`.

    Args:
        as :func:`jaxaccel.functional.triplet_margin_with_distance_loss`.

    Raises:
        ValueError: a ``margin`` that is not positive; and what
            :func:`jaxaccel.functional.triplet_margin_with_distance_loss` raises, from a call.

    PyTorch:
        ``torch.nn.TripletMarginWithDistanceLoss``: as
        :func:`jaxaccel.functional.triplet_margin_with_distance_loss` is to
        ``torch.nn.functional.triplet_margin_with_distance_loss``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 2.0]])
        >>> distance = ja.nn.PairwiseDistance(p=1)
        >>> loss = ja.nn.TripletMarginWithDistanceLoss(distance_function=distance)
        >>> round(float(loss(a, p, n)), 4)
        6.0
    """

    @checked
    def __init__(
        self,
        *,
        distance_function: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        if margin <= 0:
            raise ValueError(
                "TripletMarginWithDistanceLoss: expected margin to be greater than 0, got "
                f"{margin} instead"
            )
        check_reduction(reduction)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap
        self.reduction = reduction

    @checked
    def __call__(self, anchor: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
        """Return the loss."""
        return triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
