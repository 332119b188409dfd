"""What happens to the losses of the elements: dtypes, weights, reductions."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from torch_ref._math import compute_dtype


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """Return the losses of the elements, their mean or their sum."""
    if reduction == "none":
        return loss
    return torch.mean(loss) if reduction == "mean" else torch.sum(loss)


def result_dtype(input: Tensor, *others: Tensor | None) -> torch.dtype:
    """Return the dtype of a result: the widest floating one, as in PyTorch."""
    floating = [
        tensor.dtype for tensor in others if tensor is not None and tensor.is_floating_point()
    ]
    return functools.reduce(torch.promote_types, floating, input.dtype)


def as_pair(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in one shape, in float32 at least."""
    first, second = in_one_shape(input, target)
    return first, second


def in_one_shape(first: Tensor, *others: Tensor) -> list[Tensor]:
    """Return tensors in one shape, in float32 at least."""
    dtype = compute_dtype(result_dtype(first, *others))
    shape = torch.broadcast_shapes(*(each.shape for each in (first, *others)))
    return [each.expand(shape).to(dtype) for each in (first, *others)]


def magnitude(difference: Tensor) -> Tensor:
    """Return the absolute value, whose gradient at 0 is 0.

    So is that of ``torch.abs``, but not that of ``jnp.abs``.
    """
    return difference * torch.sign(difference)


def at_least_zero(x: Tensor) -> Tensor:
    """Return what is not negative, and 0 for the rest; the gradient at 0 is that of what is not.

    NaN stays NaN, with a gradient of 0.
    """
    kept = torch.where(x >= 0, x, torch.zeros_like(x))
    return torch.where(torch.isnan(x), torch.full_like(x, torch.nan), kept)


def times(loss: Tensor, weight: Tensor) -> Tensor:
    """Return the losses times the weights of their elements, which broadcast."""
    dtype = torch.promote_types(loss.dtype, weight.dtype)
    return loss.to(dtype) * weight.expand(loss.shape).to(dtype)


def weighted_mean(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """Return the losses reduced, where a weighted mean divides by the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    # Cast once, so that its gradient is rounded once.
    weight = weight.to(torch.promote_types(loss.dtype, weight.dtype))
    loss = times(loss, weight)
    if reduction == "mean":
        return torch.sum(loss) / torch.sum(weight)
    return reduced(loss, reduction)
