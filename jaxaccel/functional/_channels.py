"""What normalizations with a channel axis share: parameters in place, statistics that move."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._spatial import channels_last_remedy


def along_channels(value: jax.Array, x: jax.Array, channel_axis: int) -> jax.Array:
    """Return a (C,) parameter so that it multiplies ``x`` in its dtype."""
    axes = (axis for axis in range(x.ndim) if axis != channel_axis)
    return jax.lax.expand_dims(value.astype(x.dtype), tuple(axes))


def scale_and_shift(
    shifted: jax.Array,
    delta: jax.Array | None,
    var: jax.Array,
    eps: float,
    weight: jax.Array | None,
    bias: jax.Array | None,
) -> jax.Array:
    """Subtract ``delta``, divide by the standard deviation, apply parameters that broadcast.

    The subtraction comes last, on the small arrays: so the sums of the backward pass need nothing
    that a pass over the input has yet to find, and are taken in the pass that finds the variance.
    """
    scale = jax.lax.rsqrt(var + eps)
    scale = scale if weight is None else scale * weight
    output = shifted * scale
    if delta is not None:
        bias = -delta * scale if bias is None else bias - delta * scale
    return output if bias is None else output + bias


def moved(running: jax.Array | None, new: jax.Array, shares: tuple[Any, Any]) -> jax.Array | None:
    """Move a running statistic towards its new value; it keeps its dtype, and has no gradient.

    ``shares`` are ``(1 - momentum, momentum)``, formed in the momentum's own precision.
    """
    if running is None:
        return None
    new = jax.lax.stop_gradient(new).reshape(running.shape)
    keep, take = (jnp.asarray(value, new.dtype) for value in shares)
    return (keep * running.astype(new.dtype) + take * new).astype(running.dtype)


def check_channel_axis(input: jax.Array, channel_axis: int) -> int:
    """Return the axis counted from the front, which is not that of the batch."""
    if not -input.ndim < channel_axis < input.ndim or channel_axis == 0:
        raise ValueError(
            "channel_axis should be -1 (channels last), 1 (PyTorch's layout) or another axis but "
            f"the batch's of an input of {input.ndim} dimensions, got {channel_axis}"
        )
    return channel_axis % input.ndim


def check_per_channel(input: jax.Array, axis: int, **parameters: jax.Array | None) -> None:
    """Raise PyTorch's text unless each parameter has one value per channel."""
    channels = input.shape[axis]
    for name, value in parameters.items():
        if value is not None and value.shape != (channels,):
            raise ValueError(
                f"{name} should contain {channels} elements not {value.size}"
                + channels_last_remedy(input.shape, axis, value.size)
            )


def check_momentum(function: str, momentum: Any) -> None:
    """Raise PyTorch's text for the None that only its layers take."""
    if momentum is None:
        raise TypeError(
            f"{function}(): argument 'momentum' (position 7) must be float, not NoneType"
        )
