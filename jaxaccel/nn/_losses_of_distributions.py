"""Losses of distributions, and of label sequences."""

from __future__ import annotations

from collections.abc import Sequence

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import (
    ctc_loss,
    gaussian_nll_loss,
    kl_div,
    poisson_nll_loss,
)
from jaxaccel.nn._arguments import check_reduction


class KLDivLoss(nnx.Module):
    """The Kullback-Leibler divergence.

    ``loss(input, target)`` is :func:`jaxaccel.functional.kl_div`.

    Args:
        as :func:`jaxaccel.functional.kl_div`.

    Raises:
        as :func:`jaxaccel.functional.kl_div`: for ``reduction`` at once, for the rest from a
        call.

    PyTorch:
        ``torch.nn.KLDivLoss``: as :func:`jaxaccel.functional.kl_div` is to
        ``torch.nn.functional.kl_div``. Left out: ``size_average`` and ``reduce``, which are
        deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> p, q = jnp.array([[0.5, 0.5]]), jnp.array([[0.25, 0.75]])
        >>> round(float(ja.nn.KLDivLoss("batchmean")(jnp.log(q), p)), 4)
        0.1438
    """

    @checked
    def __init__(self, reduction: str = "mean", log_target: bool = False):
        check_reduction(reduction, "batchmean")
        self.reduction = reduction
        self.log_target = log_target

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class PoissonNLLLoss(nnx.Module):
    """The negative log-likelihood of counts.

    ``loss(input, target)`` is :func:`jaxaccel.functional.poisson_nll_loss`.

    Args:
        as :func:`jaxaccel.functional.poisson_nll_loss`.

    Raises:
        as :func:`jaxaccel.functional.poisson_nll_loss`: for ``reduction`` at once, for the rest
        from a call.

    PyTorch:
        ``torch.nn.PoissonNLLLoss``: as :func:`jaxaccel.functional.poisson_nll_loss` is to
        ``torch.nn.functional.poisson_nll_loss``. Left out: ``size_average`` and ``reduce``,
        which are deprecated. A call's first argument is ``input``, which PyTorch calls
        ``log_input``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([0.0, 0.0]), jnp.array([3, 0])
        >>> float(ja.nn.PoissonNLLLoss()(x, y))
        1.0
    """

    @checked
    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        eps: float = 1e-8,
        reduction: str = "mean",
    ):
        check_reduction(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return poisson_nll_loss(
            input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(nnx.Module):
    """The negative log-likelihood of numbers with a variance each.

    ``loss(input, target, var)`` is :func:`jaxaccel.functional.gaussian_nll_loss`.

    Args:
        as :func:`jaxaccel.functional.gaussian_nll_loss`.

    Raises:
        as :func:`jaxaccel.functional.gaussian_nll_loss`: for ``reduction`` at once, for the
        rest from a call.

    PyTorch:
        ``torch.nn.GaussianNLLLoss``: as :func:`jaxaccel.functional.gaussian_nll_loss` is to
        ``torch.nn.functional.gaussian_nll_loss``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> float(ja.nn.GaussianNLLLoss()(x, y, jnp.ones(2)))
        2.5
    """

    @checked
    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        check_reduction(reduction, text="is not valid")
        self.full = full
        self.eps = eps
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array, var: jax.Array | float) -> jax.Array:
        """Return the loss."""
        return gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class CTCLoss(nnx.Module):
    """The negative log-likelihood of label sequences, over all their alignments.

    ``loss(log_probs, targets, input_lengths, target_lengths)`` is
    :func:`jaxaccel.functional.ctc_loss`.

    Args:
        as :func:`jaxaccel.functional.ctc_loss`.

    Raises:
        as :func:`jaxaccel.functional.ctc_loss`: for ``reduction`` at once, for the rest from a
        call.

    PyTorch:
        ``torch.nn.CTCLoss``: as :func:`jaxaccel.functional.ctc_loss` is to
        ``torch.nn.functional.ctc_loss``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> log_probs = jnp.log(jnp.full((3, 1, 2), 0.5))
        >>> loss = ja.nn.CTCLoss()(log_probs, jnp.array([[1]]), (3,), (1,))
        >>> round(float(jnp.exp(-loss)), 4)
        0.75
    """

    @checked
    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False):
        check_reduction(reduction)
        self.blank = blank
        self.reduction = reduction
        self.zero_infinity = zero_infinity

    @checked
    def __call__(
        self,
        log_probs: jax.Array,
        targets: jax.Array,
        input_lengths: jax.Array | Sequence[int],
        target_lengths: jax.Array | Sequence[int],
    ) -> jax.Array:
        """Return the loss."""
        return ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            blank=self.blank,
            reduction=self.reduction,
            zero_infinity=self.zero_infinity,
        )
