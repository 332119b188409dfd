"""Losses of classes, of which one or several are right."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    cross_entropy,
    multi_margin_loss,
    multilabel_margin_loss,
    nll_loss,
)
from jaxaccel.nn._arguments import buffer_of, check_reduction, value_of


class CrossEntropyLoss(nnx.Module):
    """The cross entropy between targets and softmaxes of logits.

    ``loss(input, target)`` is :func:`jaxaccel.functional.cross_entropy`.
    ``weight`` is a buffer: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.cross_entropy`.

    Raises:
        as :func:`jaxaccel.functional.cross_entropy`: for ``reduction`` at once, for the rest
        from a call.

    PyTorch:
        ``torch.nn.CrossEntropyLoss``: as :func:`jaxaccel.functional.cross_entropy` is to
        ``torch.nn.functional.cross_entropy``. Left out: ``size_average`` and ``reduce``, which
        are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> loss = ja.nn.CrossEntropyLoss(ignore_index=1)
        >>> round(float(loss(jnp.array([[2.0, 0.0], [0.0, 0.0]]), jnp.array([0, 1]))), 4)
        0.1269
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        weight: jax.Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        *,
        class_axis: int = -1,
    ):
        check_reduction(reduction)
        self.weight = buffer_of(weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.class_axis = class_axis

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return cross_entropy(
            input,
            target,
            weight=value_of(self.weight),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
            class_axis=self.class_axis,
        )


class NLLLoss(nnx.Module):
    """The negative log-likelihood of classes.

    ``loss(input, target)`` is :func:`jaxaccel.functional.nll_loss`.
    ``weight`` is a buffer: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.nll_loss`.

    Raises:
        as :func:`jaxaccel.functional.nll_loss`: for ``reduction`` at once, for the rest from a
        call.

    PyTorch:
        ``torch.nn.NLLLoss``: as :func:`jaxaccel.functional.nll_loss` is to
        ``torch.nn.functional.nll_loss``. Left out: ``size_average`` and ``reduce``, which are
        deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> log_probs = jnp.log(jnp.array([[0.25, 0.75]]))
        >>> round(float(ja.nn.NLLLoss()(log_probs, jnp.array([1]))), 4)
        0.2877
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        weight: jax.Array | None = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        *,
        class_axis: int = -1,
    ):
        check_reduction(reduction)
        self.weight = buffer_of(weight)
        self.ignore_index = ignore_index
        self.reduction = reduction
        self.class_axis = class_axis

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return nll_loss(
            input,
            target,
            weight=value_of(self.weight),
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            class_axis=self.class_axis,
        )


class MultiMarginLoss(nnx.Module):
    """By how much wrong classes come too near to the right one.

    ``loss(input, target)`` is :func:`jaxaccel.functional.multi_margin_loss`.
    ``weight`` is a buffer: in the state dict, and not trained.

    Args:
        as :func:`jaxaccel.functional.multi_margin_loss`.

    Raises:
        ValueError: another ``p``, or a ``weight`` that has not one axis; and what
            :func:`jaxaccel.functional.multi_margin_loss` raises, from a call.

    PyTorch:
        ``torch.nn.MultiMarginLoss``: as :func:`jaxaccel.functional.multi_margin_loss` is to
        ``torch.nn.functional.multi_margin_loss``. Left out: ``size_average`` and ``reduce``,
        which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0, 2.0, 0.5, 0.0]])
        >>> float(ja.nn.MultiMarginLoss()(x, jnp.array([0])))
        0.625
    """

    torch_transposed = ()

    @checked
    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: jax.Array | None = None,
        reduction: str = "mean",
    ):
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.ndim != 1:
            raise ValueError(
                "MultiMarginLoss: expected weight to be None or 1D tensor, got "
                f"{weight.ndim}D instead"
            )
        check_reduction(reduction)
        self.p = p
        self.margin = margin
        self.weight = buffer_of(weight)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=value_of(self.weight),
            reduction=self.reduction,
        )


class MultiLabelMarginLoss(nnx.Module):
    """By how much wrong classes come too near to several right ones.

    ``loss(input, target)`` is :func:`jaxaccel.functional.multilabel_margin_loss`.

    Args:
        as :func:`jaxaccel.functional.multilabel_margin_loss`.

    Raises:
        as :func:`jaxaccel.functional.multilabel_margin_loss`: for ``reduction`` at once, for
        the rest from a call.

    PyTorch:
        ``torch.nn.MultiLabelMarginLoss``: as :func:`jaxaccel.functional.multilabel_margin_loss`
        is to ``torch.nn.functional.multilabel_margin_loss``. Left out: ``size_average`` and
        ``reduce``, which are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0, 2.0, 0.5, 0.0]])
        >>> float(ja.nn.MultiLabelMarginLoss()(x, jnp.array([[1, 0, -1, -1]])))
        0.125
    """

    @checked
    def __init__(self, reduction: str = "mean"):
        check_reduction(reduction)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return multilabel_margin_loss(input, target, reduction=self.reduction)
