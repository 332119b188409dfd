"""Batch normalization."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel._tracing import traced_once
from jaxaccel._types import AxisName
from jaxaccel.functional._channels import (
    along_channels,
    check_momentum,
    check_per_channel,
    moved,
    scale_and_shift,
)
from jaxaccel.functional._moments import Moments, check_dtypes, moments, moments_near


class BatchNormResult(NamedTuple):
    """The result of :func:`batch_norm`."""

    output: jax.Array
    """Shape and dtype of the input."""
    running_mean: jax.Array | None
    """(C,), in its own dtype: new in training, else the one given."""
    running_var: jax.Array | None
    """(C,), in its own dtype: new in training, else the one given."""


@checked
@operation("batch_norm")
def batch_norm(
    input: jax.Array,
    running_mean: jax.Array | None,
    running_var: jax.Array | None,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    training: bool = False,
    momentum: float | jax.Array = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
    axis_name: AxisName | None = None,
) -> BatchNormResult:
    r"""Normalize each channel by its statistics over the batch.

    In training the statistics are those of the batch, and the running ones move towards them. The
    momentum weighs the *new* value (in flax it weighs the old one), the running variance gets the
    unbiased variance (in flax the biased one), and the output is normalized with the biased one.
    Otherwise the running statistics normalize, and come back as they are.

    .. math::
        y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} w + b, \qquad
        r_\mu \leftarrow (1 - m) r_\mu + m \mu, \qquad
        r_{\sigma^2} \leftarrow (1 - m) r_{\sigma^2} + m \tfrac{n}{n - 1} \sigma^2

    Statistics and arithmetic are in float32 at least, the variance as exact as in two passes. One
    pass takes the sums about the running mean, in the operation that computes the input; only where
    that is more than a standard deviation off, for any channel, two follow. Without running
    statistics, and in float64, there are always two.

    Args:
        input: Two or more dimensions, floating point.
        running_mean: (C,), or None to keep no statistics.
        running_var: (C,), or None to keep no statistics; None together with ``running_mean``.
        weight: (C,), the scale; None for 1.
        bias: (C,), the shift; None for 0.
        training: Whether the batch's own statistics normalize.
        momentum: In [0, 1], the weight of the batch in the running statistics; 1 / n for the n-th
            batch averages all equally, which is a layer's ``momentum=None``.
        eps: Added to the variance; positive in training, else not negative.
        channel_axis: The axis of length C; -1 is channels last, 1 is PyTorch's.
        axis_name: A mapped axis, or several (of ``shard_map`` or ``pmap``), over which the batch is
            spread: its statistics are then those of the whole batch.

    Returns:
        ``(output, running_mean, running_var)``. No gradient flows into the running statistics.

    Raises:
        ValueError: one value per channel in training, a bad ``eps``, one of the running
            statistics missing, or a parameter that has not C elements.
        TypeError: ``momentum`` is None, the input is not floating point, or a parameter has neither
            its dtype nor (beside a float16 or bfloat16 input) float32.

    PyTorch:
        ``torch.nn.functional.batch_norm``: the same values and gradients; ``axis_name`` gives those
        of ``torch.nn.SyncBatchNorm``. The statistics are returned and not stored, and channels are
        last. PyTorch raises ``RuntimeError`` where this raises ``ValueError`` for a shape and
        ``TypeError`` for a dtype. Statistics in float32 beside a weight in bfloat16 work here.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[1.0], [3.0]])
        >>> result = ja.functional.batch_norm(x, jnp.zeros(1), jnp.ones(1), training=True)
        >>> round(float(result.running_mean[0]), 4), round(float(result.running_var[0]), 4)
        (0.2, 1.1)
        >>> round(float(result.output[0, 0]), 4)
        -1.0

    References:
        Ioffe, Szegedy. Batch Normalization: Accelerating Deep Network Training by Reducing Internal
        Covariate Shift. 2015. https://arxiv.org/abs/1502.03167
    """
    check_momentum("batch_norm", momentum)
    named = {"running_mean": running_mean, "running_var": running_var}
    channel_axis = _check(input, training, eps, channel_axis, **named, weight=weight, bias=bias)
    if input.size == 0:  # statistics of nothing are not kept
        return BatchNormResult(input, running_mean, running_var)
    shares = (1 - momentum, momentum)
    found = _normalized(
        *(input, running_mean, running_var, weight, bias, shares, eps),
        training=training,
        channel_axis=channel_axis,
        axis_name=axis_name,
    )
    return BatchNormResult(*found)


@traced_once("training", "channel_axis", "axis_name")
def _normalized(
    input: jax.Array,
    running_mean: jax.Array | None,
    running_var: jax.Array | None,
    weight: jax.Array | None,
    bias: jax.Array | None,
    shares: tuple[Any, Any],
    eps: Any,
    *,
    training: bool,
    channel_axis: int,
    axis_name: AxisName | None,
) -> tuple[jax.Array, jax.Array | None, jax.Array | None]:
    """Return the output and the running statistics, of which ``shares`` are kept and taken."""
    x, new_mean, new_var = input.astype(compute_dtype(input.dtype)), running_mean, running_var
    mean, var, weight, bias = (
        None if value is None else along_channels(value, x, channel_axis)
        for value in (running_mean, running_var, weight, bias)
    )
    # Only training leaves them undefined: checked above.
    if training or mean is None or var is None:
        stats, unbiased = _batch_statistics(input, mean, channel_axis, axis_name)
        shifted, delta, mean, var = stats
        new_mean = moved(running_mean, mean, shares)
        new_var = moved(running_var, unbiased, shares)
    else:
        shifted, delta = x - mean, None
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return output.astype(input.dtype), new_mean, new_var


def _batch_statistics(
    x: jax.Array, guess: jax.Array | None, channel_axis: int, axis_name: AxisName | None
) -> tuple[Moments, jax.Array]:
    """Return the moments of each channel and the unbiased variance; ``guess`` is a mean or None."""
    axes = tuple(axis for axis in range(x.ndim) if axis != channel_axis)
    count = math.prod(x.shape[axis] for axis in axes)
    if axis_name is not None:
        count *= jax.lax.axis_size(axis_name)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {x.shape}"
        )
    if guess is None or x.dtype == jnp.float64:
        stats = moments(x.astype(compute_dtype(x.dtype)), axes, axis_name)
    else:
        stats = moments_near(x, guess, axes, axis_name)
    return stats, stats.var * (count / (count - 1))


def _check(
    input: jax.Array, training: bool, eps: float, channel_axis: int, **parameters: jax.Array | None
) -> int:
    """Check the arguments, with PyTorch's texts; return the channels' axis from the front."""
    if input.ndim < 2:
        raise ValueError(f"expected at least 2D input (got {input.ndim}D input)")
    if not -input.ndim <= channel_axis < input.ndim:
        raise ValueError(
            f"channel_axis should be an axis of an input of {input.ndim} dimensions, got "
            f"{channel_axis}; -1 is channels last, 1 PyTorch's layout"
        )
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    missing = [name for name in ("running_mean", "running_var") if parameters[name] is None]
    if missing and not training:
        raise ValueError(f"{missing[0]} must be defined in evaluation mode")
    if len(missing) == 1:
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    check_per_channel(input, channel_axis, **parameters)
    check_dtypes(input, **parameters)
    return channel_axis % input.ndim
