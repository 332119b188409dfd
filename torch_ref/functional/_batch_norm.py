"""Batch normalization."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import (
    along_channels,
    check_momentum,
    check_per_channel,
    moved,
    scale_and_shift,
)
from torch_ref.functional._moments import Moments, check_dtypes, moments


class BatchNormResult(NamedTuple):
    """The result of :func:`batch_norm`."""

    output: Tensor
    """Shape and dtype of the input."""
    running_mean: Tensor | None
    """(C,), in its own dtype: new in training, else the one given."""
    running_var: Tensor | None
    """(C,), in its own dtype: new in training, else the one given."""


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> BatchNormResult:
    """Normalise each channel by its statistics over the batch.

    There is no ``axis_name``: that is ``torch.nn.SyncBatchNorm``.
    """
    check_momentum("batch_norm", momentum)
    named = {"running_mean": running_mean, "running_var": running_var}
    _check(input, training, eps, channel_axis, **named, weight=weight, bias=bias)
    if input.numel() == 0:  # statistics of nothing are not kept
        return BatchNormResult(input, running_mean, running_var)
    channel_axis %= input.ndim
    x, new_mean, new_var = input.to(compute_dtype(input.dtype)), running_mean, running_var
    mean, var, weight, bias = (
        None if value is None else along_channels(value, x, channel_axis)
        for value in (running_mean, running_var, weight, bias)
    )
    # Only training leaves them undefined: checked above.
    if training or mean is None or var is None:
        (shifted, delta, mean, var), unbiased = _batch_statistics(x, channel_axis)
        new_mean = moved(running_mean, mean, momentum)
        new_var = moved(running_var, unbiased, momentum)
    else:
        shifted, delta = x - mean, None
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return BatchNormResult(output.to(input.dtype), new_mean, new_var)


def _batch_statistics(x: Tensor, channel_axis: int) -> tuple[Moments, Tensor]:
    """Return the moments of each channel and the unbiased variance."""
    axes = tuple(axis for axis in range(x.ndim) if axis != channel_axis)
    count = math.prod(x.shape[axis] for axis in axes)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {tuple(x.shape)}"
        )
    stats = moments(x, axes)
    return stats, stats.var * (count / (count - 1))


def _check(
    input: Tensor, training: bool, eps: float, channel_axis: int, **parameters: Tensor | None
) -> None:
    """Check the arguments, with PyTorch's texts."""
    if input.ndim < 2:
        raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    missing = [name for name in ("running_mean", "running_var") if parameters[name] is None]
    if missing and not training:
        raise ValueError(f"{missing[0]} must be defined in evaluation mode")
    if len(missing) == 1:
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    check_per_channel(input.shape[channel_axis], **parameters)
    check_dtypes(input, **parameters)
