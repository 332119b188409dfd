"""Batch normalization."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import along_channels, moved, scale_and_shift
from torch_ref.functional._moments import Moments, moments


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
    """Normalize each channel by its statistics over the batch.

    There is no ``axis_name``: that is ``torch.nn.SyncBatchNorm``.
    """
    if input.numel() == 0:  # statistics of nothing are not kept
        return BatchNormResult(input, running_mean, running_var)
    channel_axis %= input.ndim
    x, new_mean, new_var = input.to(compute_dtype(input.dtype)), running_mean, running_var
    mean, var, weight, bias = (
        None if value is None else along_channels(value, x, channel_axis)
        for value in (running_mean, running_var, weight, bias)
    )
    if training or mean is None or var is None:
        (shifted, delta, mean, var), unbiased = _batch_statistics(x, channel_axis)
        shares = (1 - momentum, momentum)
        new_mean = moved(running_mean, mean, shares)
        new_var = moved(running_var, unbiased, shares)
    else:
        shifted, delta = x - mean, None
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return BatchNormResult(output.to(input.dtype), new_mean, new_var)


def _batch_statistics(x: Tensor, channel_axis: int) -> tuple[Moments, Tensor]:
    """Return the moments of each channel and the unbiased variance."""
    axes = tuple(axis for axis in range(x.ndim) if axis != channel_axis)
    count = math.prod(x.shape[axis] for axis in axes)
    stats = moments(x, axes)
    return stats, stats.var * (count / (count - 1))
