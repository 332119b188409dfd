"""Group normalization."""

from __future__ import annotations

import math

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import check_channel_axis, scale_and_shift
from torch_ref.functional._moments import check_dtypes, moments


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> Tensor:
    """Normalise each group of channels of each sample by its own mean and variance."""
    channel_axis = _check(input, num_groups, channel_axis, weight=weight, bias=bias)
    if input.numel() == 0:
        return input
    dtype, shape = compute_dtype(input.dtype), input.shape
    groups = (num_groups, shape[channel_axis] // num_groups)
    split = (*shape[:channel_axis], *groups, *shape[channel_axis + 1 :])
    broadcast = tuple(
        n if axis in (channel_axis, channel_axis + 1) else 1 for axis, n in enumerate(split)
    )

    def wide(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(dtype).reshape(broadcast)

    axes = tuple(axis for axis in range(1, len(split)) if axis != channel_axis)
    shifted, delta, _, var = moments(input.to(dtype).reshape(split), axes)
    output = scale_and_shift(shifted, delta, var, eps, wide(weight), wide(bias))
    return output.reshape(shape).to(input.dtype)


def _check(input: Tensor, num_groups: int, channel_axis: int, **parameters: Tensor | None) -> int:
    """Check the arguments, with PyTorch's texts; return the channel axis from the front."""
    if not isinstance(num_groups, int) or isinstance(num_groups, bool):
        raise TypeError(
            "group_norm(): argument 'num_groups' (position 2) must be int, "
            f"not {type(num_groups).__name__}"
        )
    if input.ndim < 2:
        raise ValueError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    channel_axis = check_channel_axis(input, channel_axis)
    if num_groups <= 0:
        raise ValueError(f"Expected num groups to be greater than 0, got {num_groups}")
    channels = input.shape[channel_axis]
    spatial = [n for axis, n in enumerate(input.shape) if axis not in (0, channel_axis)]
    per_group = input.shape[0] * channels // num_groups
    if per_group * math.prod(spatial) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{[per_group, num_groups, *spatial]}"
        )
    size = [input.shape[0], channels, *spatial]
    if channels % num_groups:
        raise ValueError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {size} and num_groups={num_groups}"
        )
    for name, value in parameters.items():
        if value is not None and value.shape != (channels,):
            raise ValueError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(value.shape)} and input of shape {size}"
            )
    check_dtypes(input, **parameters)
    return channel_axis
