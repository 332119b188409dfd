"""The losses of triplets: an anchor is nearer to one example than to another."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._pairwise_distance import distance, pairwise_distance
from jaxaccel.functional._reduction import (
    as_pair,
    at_least_zero,
    check_reduction,
    in_one_shape,
    reduced,
    result_dtype,
)


@checked
@operation("triplet_margin_loss", low=())
def triplet_margin_loss(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return by how much an anchor is not nearer to one example than to another.

    .. math::
        \ell = \max(d(a, p) - d(a, n) + \text{margin},\, 0), \qquad
        d(x, y) = \lVert x - y + \epsilon \rVert_p

    Args:
        anchor: (..., D), floating point.
        positive: What is to be near, of a shape that broadcasts with the anchor's.
        negative: What is to be far, of a shape that broadcasts with the anchor's.
        margin: The difference of distances that is enough, positive.
        p: The p of the norm.
        eps: Added to each difference.
        swap: Whether the distance of positive and negative counts where it is the shorter one.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or (...) without reduction. Its dtype is the widest one given; inside it
        is float32 at least.

    Raises:
        ValueError: another ``reduction``, a ``margin`` that is not positive, or shapes that do not
            broadcast or differ in their number of axes.
        TypeError: ``anchor`` is not floating point.

    PyTorch:
        ``torch.nn.functional.triplet_margin_loss``: the same. Left out: ``size_average`` and
        ``reduce``, which are deprecated. PyTorch raises ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 2.0]])
        >>> round(float(ja.functional.triplet_margin_loss(a, p, n)), 4)
        4.0

    References:
        Balntas, Riba, Ponsa, Mikolajczyk. Learning Local Feature Descriptors with Triplets and
        Shallow Convolutional Neural Networks. 2016.
    """
    check_reduction(reduction)
    _check(anchor, positive, negative, margin)

    def between(x: jax.Array, y: jax.Array) -> jax.Array:
        found = distance(*as_pair(x, y), p, eps)
        return found[..., 0] if found.ndim else found

    loss = _loss(anchor, positive, negative, between, margin, swap)
    return reduced(loss, reduction).astype(result_dtype(anchor, positive, negative))


@checked
def triplet_margin_with_distance_loss(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    *,
    distance_function: Callable[[jax.Array, jax.Array], jax.Array] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> jax.Array:
    r"""Return by how much an anchor is not nearer to one example than to another, by any distance.

    .. math::
        \ell = \max(d(a, p) - d(a, n) + \text{margin},\, 0)

    Args:
        anchor: What the distance function takes.
        positive: What is to be near.
        negative: What is to be far.
        distance_function: The distance :math:`d`; None for :func:`pairwise_distance`.
        margin: The difference of distances that is enough, positive.
        swap: Whether the distance of positive and negative counts where it is the shorter one.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Returns:
        The loss: a number, or the shape of the distances without reduction, in their dtype.

    Raises:
        ValueError: another ``reduction``, a ``margin`` that is not positive, or shapes that do not
            broadcast or differ in their number of axes.

    PyTorch:
        ``torch.nn.functional.triplet_margin_with_distance_loss``: the same. PyTorch raises
        ``RuntimeError`` for shapes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> a, p, n = jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]]), jnp.array([[0.0, 2.0]])
        >>> by_largest = lambda x, y: jnp.max(jnp.abs(x - y), -1)
        >>> loss = ja.functional.triplet_margin_with_distance_loss
        >>> float(loss(a, p, n, distance_function=by_largest))
        3.0
    """
    check_reduction(reduction)
    _check(anchor, positive, negative, margin)
    between = pairwise_distance if distance_function is None else distance_function
    return reduced(_loss(anchor, positive, negative, between, margin, swap), reduction)


def _check(anchor: jax.Array, positive: jax.Array, negative: jax.Array, margin: float) -> None:
    """Check the arguments that both losses share, with PyTorch's texts."""
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ValueError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative "
            f"{negative.ndim}D inputs"
        )


def _loss(
    anchor: jax.Array,
    positive: jax.Array,
    negative: jax.Array,
    between: Callable[[jax.Array, jax.Array], jax.Array],
    margin: float,
    swap: bool,
) -> jax.Array:
    """Return the loss of each triplet."""
    near, far = between(anchor, positive), between(anchor, negative)
    if swap:
        far = jnp.minimum(*_alike(far, between(positive, negative)))
    near, far = _alike(near, far)
    return at_least_zero(margin + near - far)


def _alike(a: jax.Array, b: jax.Array) -> list[jax.Array]:
    """Return two arrays of distances in one shape and in the wider dtype."""
    dtype = result_dtype(a, b)
    return [each.astype(dtype) for each in in_one_shape(a, b)]
