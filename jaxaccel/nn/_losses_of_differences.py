"""Losses of the differences of numbers."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked, checked_but
from jaxaccel._kinds import FLOAT
from jaxaccel.functional import (
    huber_loss,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from jaxaccel.nn._arguments import check_reduction


class L1Loss(nnx.Module):
    """The absolute error.

    ``loss(input, target)`` is :func:`jaxaccel.functional.l1_loss`.

    Args:
        as :func:`jaxaccel.functional.l1_loss`.

    Raises:
        as :func:`jaxaccel.functional.l1_loss`: for ``reduction`` at once, for the rest from a
        call.

    PyTorch:
        ``torch.nn.L1Loss``: as :func:`jaxaccel.functional.l1_loss` is to
        ``torch.nn.functional.l1_loss``. Left out: ``size_average`` and ``reduce``, which are
        deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> float(ja.nn.L1Loss()(x, y))
        2.0
    """

    @checked
    def __init__(self, reduction: str = "mean"):
        check_reduction(reduction)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return l1_loss(input, target, reduction=self.reduction)


class MSELoss(nnx.Module):
    """The squared error.

    ``loss(input, target)`` is :func:`jaxaccel.functional.mse_loss`.

    Args:
        as :func:`jaxaccel.functional.mse_loss`.

    Raises:
        as :func:`jaxaccel.functional.mse_loss`: for ``reduction`` at once, for the rest from a
        call.

    PyTorch:
        ``torch.nn.MSELoss``: as :func:`jaxaccel.functional.mse_loss` is to
        ``torch.nn.functional.mse_loss``. Left out: ``size_average`` and ``reduce``, which are
        deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> float(ja.nn.MSELoss(reduction="sum")(x, y))
        10.0
    """

    @checked
    def __init__(self, reduction: str = "mean"):
        check_reduction(reduction)
        self.reduction = reduction

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(nnx.Module):
    """The absolute error with its tip rounded.

    ``loss(input, target)`` is :func:`jaxaccel.functional.smooth_l1_loss`.

    Args:
        as :func:`jaxaccel.functional.smooth_l1_loss`.

    Raises:
        as :func:`jaxaccel.functional.smooth_l1_loss`: for ``reduction`` at once, for the rest
        from a call.

    PyTorch:
        ``torch.nn.SmoothL1Loss``: as :func:`jaxaccel.functional.smooth_l1_loss` is to
        ``torch.nn.functional.smooth_l1_loss``. Left out: ``size_average`` and ``reduce``, which
        are deprecated.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> float(ja.nn.SmoothL1Loss()(x, y))
        1.5
    """

    @checked
    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        check_reduction(reduction)
        self.reduction = reduction
        self.beta = beta

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(nnx.Module):
    """The squared error with its ends straightened.

    ``loss(input, target)`` is :func:`jaxaccel.functional.huber_loss`.

    Args:
        as :func:`jaxaccel.functional.huber_loss`.

    Raises:
        as :func:`jaxaccel.functional.huber_loss`: for ``reduction`` at once, for the rest from
        a call.

    PyTorch:
        ``torch.nn.HuberLoss``: as :func:`jaxaccel.functional.huber_loss` is to
        ``torch.nn.functional.huber_loss``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x, y = jnp.array([1.0, 3.0]), jnp.zeros(2)
        >>> ja.nn.HuberLoss("none", 2.0)(x, y).tolist()
        [0.5, 4.0]
    """

    @checked_but("delta")
    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        check_reduction(reduction)
        if not FLOAT.fits(delta):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        self.reduction = reduction
        self.delta = delta

    @checked
    def __call__(self, input: jax.Array, target: jax.Array) -> jax.Array:
        """Return the loss."""
        return huber_loss(input, target, reduction=self.reduction, delta=self.delta)
