"""Losses of independent yes and no decisions."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    multilabel_soft_margin_loss,
)
from jaxaccel.nn._arguments import buffer_of, check_reduction, value_of


class BCELoss(nnx.Module):
    """The cross entropy between two probabilities.

    ``loss(input, target)`` is :func:`jaxaccel.functional.binary_cross_entropy`.
    ``weight`` is a buffer: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.binary_cross_entropy`.

    Raises:
        as :func:`jaxaccel.functional.binary_cross_entropy`: for ``reduction`` at once, for the
        rest from a call.

    PyTorch:
        ``torch.nn.BCELoss``: as :func:`jaxaccel.functional.binary_cross_entropy` is to
        ``torch.nn.functional.binary_cross_entropy``. Left out: ``size_average`` and ``reduce``,
        which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.5, 0.5]), jnp.array([1.0, 0.0])
        >>> round(float(ja.nn.BCELoss()(x, y)), 4)
        0.6931
    """

    torch_transposed = ()

    @checked
    def __init__(self, weight: jax.Array | None = None, reduction: str = "mean"):
        check_reduction(reduction)
        self.weight = buffer_of(weight)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return binary_cross_entropy(
            input, target, weight=value_of(self.weight), reduction=self.reduction
        )


class BCEWithLogitsLoss(nnx.Module):
    """The cross entropy between probabilities and sigmoids of logits.

    ``loss(input, target)`` is :func:`jaxaccel.functional.binary_cross_entropy_with_logits`.
    ``weight`` and ``pos_weight`` are buffers: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.binary_cross_entropy_with_logits`.

    Raises:
        as :func:`jaxaccel.functional.binary_cross_entropy_with_logits`: for ``reduction`` at
        once, for the rest from a call.

    PyTorch:
        ``torch.nn.BCEWithLogitsLoss``: as
        :func:`jaxaccel.functional.binary_cross_entropy_with_logits` is to
        ``torch.nn.functional.binary_cross_entropy_with_logits``. Left out: ``size_average`` and
        ``reduce``, which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> loss = ja.nn.BCEWithLogitsLoss(pos_weight=jnp.array([2.0]))
        >>> round(float(loss(jnp.array([[0.0]]), jnp.array([[1.0]]))), 4)
        1.3863
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        weight: jax.Array | None = None,
        reduction: str = "mean",
        pos_weight: jax.Array | None = None,
    ):
        check_reduction(reduction)
        self.weight = buffer_of(weight)
        self.reduction = reduction
        self.pos_weight = buffer_of(pos_weight)

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return binary_cross_entropy_with_logits(
            input,
            target,
            weight=value_of(self.weight),
            reduction=self.reduction,
            pos_weight=value_of(self.pos_weight),
        )


class MultiLabelSoftMarginLoss(nnx.Module):
    """The mean over classes of the cross entropy of yes and no.

    ``loss(input, target)`` is :func:`jaxaccel.functional.multilabel_soft_margin_loss`.
    ``weight`` is a buffer: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.multilabel_soft_margin_loss`.

    Raises:
        as :func:`jaxaccel.functional.multilabel_soft_margin_loss`: for ``reduction`` at once,
        for the rest from a call.

    PyTorch:
        ``torch.nn.MultiLabelSoftMarginLoss``: as
        :func:`jaxaccel.functional.multilabel_soft_margin_loss` is to
        ``torch.nn.functional.multilabel_soft_margin_loss``. Left out: ``size_average`` and
        ``reduce``, which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> loss = ja.nn.MultiLabelSoftMarginLoss()
        >>> round(float(loss(jnp.array([[0.0, 0.0]]), jnp.array([[1, 0]]))), 4)
        0.6931
    """

    torch_transposed = ()

    @checked
    def __init__(self, weight: jax.Array | None = None, reduction: str = "mean"):
        check_reduction(reduction, text="is not valid")
        self.weight = buffer_of(weight)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return multilabel_soft_margin_loss(
            input, target, weight=value_of(self.weight), reduction=self.reduction
        )
