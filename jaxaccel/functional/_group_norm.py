"""Group normalization."""

from __future__ import annotations

import math

import jax

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._spatial import channels_last_remedy
from jaxaccel.functional._channels import check_channel_axis, scale_and_shift
from jaxaccel.functional._moments import check_dtypes, moments


@checked
@operation("group_norm")
def group_norm(
    input: jax.Array,
    num_groups: int,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> jax.Array:
    r"""Normalize each group of channels of each sample by its own mean and variance.

    .. math::
        y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} w + b

    A group is C / ``num_groups`` channels that follow one another. The variance is the biased one.
    Statistics and arithmetic are in float32 at least, the variance in two passes.

    Args:
        input: Two or more dimensions, the batch first, floating point.
        num_groups: The groups, a divisor of C.
        weight: (C,), the scale; None for 1.
        bias: (C,), the shift; None for 0.
        eps: Added to the variance.
        channel_axis: The axis of length C; -1 is channels last, 1 is PyTorch's.

    Returns:
        An array of the shape and dtype of the input.

    Raises:
        ValueError: ``num_groups`` does not divide C, a batch of one sample has one value per group,
            ``channel_axis`` is not an axis or is the batch's, or a parameter has another shape.
        TypeError: ``num_groups`` is not an int, the input is not floating point, or a parameter has
            neither its dtype nor (beside a float16 or bfloat16 input) float32.

    PyTorch:
        ``torch.nn.functional.group_norm``: the same values and gradients, but channels are last.
        PyTorch raises ``RuntimeError`` where this raises ``ValueError`` for a shape and
        ``TypeError`` for a dtype.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[0.0, 2.0, 5.0, 5.0]])
        >>> ja.functional.group_norm(x, 2).round(4).tolist()
        [[-1.0, 1.0, 0.0, 0.0]]

    References:
        Wu, He. Group Normalization. 2018. https://arxiv.org/abs/1803.08494
    """
    channel_axis = _check(input, num_groups, channel_axis, weight=weight, bias=bias)
    if input.size == 0:
        return input
    dtype, shape = compute_dtype(input.dtype), input.shape
    groups = (num_groups, shape[channel_axis] // num_groups)
    split = (*shape[:channel_axis], *groups, *shape[channel_axis + 1 :])
    broadcast = tuple(
        n if axis in (channel_axis, channel_axis + 1) else 1 for axis, n in enumerate(split)
    )

    def wide(value: jax.Array | None) -> jax.Array | None:
        return None if value is None else value.astype(dtype).reshape(broadcast)

    axes = tuple(axis for axis in range(1, len(split)) if axis != channel_axis)
    shifted, delta, _, var = moments(input.astype(dtype).reshape(split), axes)
    output = scale_and_shift(shifted, delta, var, eps, wide(weight), wide(bias))
    return output.reshape(shape).astype(input.dtype)


def _check(
    input: jax.Array, num_groups: int, channel_axis: int, **parameters: jax.Array | None
) -> int:
    """Check the arguments, with PyTorch's texts; return the channel axis from the front."""
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
            + (
                ""
                if input.shape[1] % num_groups
                else channels_last_remedy(input.shape, channel_axis, input.shape[1])
            )
        )
    for name, value in parameters.items():
        if value is not None and value.shape != (channels,):
            raise ValueError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(value.shape)} and input of shape {size}"
            )
    check_dtypes(input, **parameters)
    return channel_axis
