"""Group normalization."""

from __future__ import annotations

from torch import Tensor

from torch_ref._math import compute_dtype
from torch_ref.functional._channels import scale_and_shift
from torch_ref.functional._moments import moments


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> Tensor:
    """Normalize each group of channels of each sample by its own mean and variance."""
    if input.numel() == 0:
        return input
    channel_axis %= input.ndim
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
