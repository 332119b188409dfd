"""Instance normalization."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import along_channels, moved, scale_and_shift
from torch_ref.functional._moments import moments


class InstanceNormResult(NamedTuple):
    """The result of :func:`instance_norm`."""

    output: Tensor
    """Shape and dtype of the input."""
    running_mean: Tensor | None
    """(C,), in its own dtype: new with ``use_input_stats``, else the one given."""
    running_var: Tensor | None
    """(C,), in its own dtype: new with ``use_input_stats``, else the one given."""


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> InstanceNormResult:
    """Normalize each channel of each sample by its own mean and variance."""
    if input.numel() == 0:  # statistics of nothing are not kept
        return InstanceNormResult(input, running_mean, running_var)
    channel_axis %= input.ndim
    x, new_mean, new_var = input.to(compute_dtype(input.dtype)), running_mean, running_var
    mean, var, weight, bias = (
        None if value is None else along_channels(value, x, channel_axis)
        for value in (running_mean, running_var, weight, bias)
    )
    if use_input_stats or mean is None or var is None:
        axes = tuple(axis for axis in range(1, x.ndim) if axis != channel_axis)
        count = math.prod(x.shape[axis] for axis in axes)
        shifted, delta, mean, var = moments(x, axes)
        shares = (1 - momentum, momentum)
        new_mean = moved(running_mean, torch.mean(mean, 0), shares)
        new_var = moved(running_var, torch.mean(var, 0) * (count / (count - 1)), shares)
    else:
        shifted, delta = x - mean, None
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return InstanceNormResult(output.to(input.dtype), new_mean, new_var)
