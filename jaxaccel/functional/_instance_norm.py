"""Instance normalization."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._math import compute_dtype
from jaxaccel._operations import operation
from jaxaccel.functional._channels import (
    along_channels,
    check_channel_axis,
    check_momentum,
    check_per_channel,
    moved,
    scale_and_shift,
)
from jaxaccel.functional._moments import check_dtypes, moments


class InstanceNormResult(NamedTuple):
    """The result of :func:`instance_norm`."""

    output: jax.Array
    """Shape and dtype of the input."""
    running_mean: jax.Array | None
    """(C,), in its own dtype: new with ``use_input_stats``, else the one given."""
    running_var: jax.Array | None
    """(C,), in its own dtype: new with ``use_input_stats``, else the one given."""


@checked
@operation("instance_norm")
def instance_norm(
    input: jax.Array,
    running_mean: jax.Array | None = None,
    running_var: jax.Array | None = None,
    weight: jax.Array | None = None,
    bias: jax.Array | None = None,
    use_input_stats: bool = True,
    momentum: float | jax.Array = 0.1,
    eps: float = 1e-5,
    *,
    channel_axis: int = -1,
) -> InstanceNormResult:
    r"""Normalize each channel of each sample by its own mean and variance.

    With ``use_input_stats`` the running statistics, where there are any, move towards the mean over
    the batch of the samples' means and unbiased variances. Otherwise they normalize, as in
    :func:`batch_norm`, and come back as they are.

    .. math::
        y = \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} w + b, \qquad
        r_\mu \leftarrow (1 - m) r_\mu + m \bar\mu, \qquad
        r_{\sigma^2} \leftarrow (1 - m) r_{\sigma^2} + m \tfrac{n}{n - 1} \bar{\sigma^2}

    Statistics and arithmetic are in float32 at least, the variance in two passes.

    Args:
        input: Three or more dimensions, the batch first, floating point.
        running_mean: (C,), or None to keep no statistics.
        running_var: (C,), or None to keep no statistics; None together with ``running_mean``.
        weight: (C,), the scale; None for 1.
        bias: (C,), the shift; None for 0.
        use_input_stats: Whether the samples' own statistics normalize.
        momentum: In [0, 1], the weight of the input in the running statistics.
        eps: Added to the variance.
        channel_axis: The axis of length C; -1 is channels last, 1 is PyTorch's.

    Returns:
        ``(output, running_mean, running_var)``. No gradient flows into the running statistics.

    Raises:
        ValueError: one value per sample and channel where they normalize, running statistics
            missing, ``channel_axis`` is not an axis or is the batch's, or a parameter without C
            elements.
        TypeError: ``momentum`` is None, the input is not floating point, or a parameter has neither
            its dtype nor (beside a float16 or bfloat16 input) float32.

    PyTorch:
        ``torch.nn.functional.instance_norm``: the same values and gradients. The statistics are
        returned and not stored, and channels are last. An empty batch leaves them alone, where
        PyTorch makes them NaN. PyTorch raises ``RuntimeError`` where this raises ``ValueError`` for
        a shape and ``TypeError`` for a dtype; its texts count N times C elements.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> x = jnp.array([[[0.0], [2.0]], [[5.0], [9.0]]])
        >>> result = ja.functional.instance_norm(x, jnp.zeros(1), jnp.ones(1))
        >>> result.output[..., 0].round(4).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
        >>> round(float(result.running_mean[0]), 4), round(float(result.running_var[0]), 4)
        (0.4, 1.4)

    References:
        Ulyanov, Vedaldi, Lempitsky. Instance Normalization: The Missing Ingredient for Fast
        Stylization. 2016. https://arxiv.org/abs/1607.08022
    """
    check_momentum("instance_norm", momentum)
    named = {"running_mean": running_mean, "running_var": running_var}
    channel_axis = _check(input, use_input_stats, channel_axis, **named, weight=weight, bias=bias)
    if input.size == 0:  # statistics of nothing are not kept
        return InstanceNormResult(input, running_mean, running_var)
    x, new_mean, new_var = input.astype(compute_dtype(input.dtype)), running_mean, running_var
    mean, var, weight, bias = (
        None if value is None else along_channels(value, x, channel_axis)
        for value in (running_mean, running_var, weight, bias)
    )
    # Only the input's own statistics leave them undefined: checked above.
    if use_input_stats or mean is None or var is None:
        axes = tuple(axis for axis in range(1, x.ndim) if axis != channel_axis)
        count = math.prod(x.shape[axis] for axis in axes)
        shifted, delta, mean, var = moments(x, axes)
        shares = (1 - momentum, momentum)
        new_mean = moved(running_mean, jnp.mean(mean, 0), shares)
        new_var = moved(running_var, jnp.mean(var, 0) * (count / (count - 1)), shares)
    else:
        shifted, delta = x - mean, None
    output = scale_and_shift(shifted, delta, var, eps, weight, bias)
    return InstanceNormResult(output.astype(input.dtype), new_mean, new_var)


def _check(
    input: jax.Array, use_input_stats: bool, channel_axis: int, **parameters: jax.Array | None
) -> int:
    """Check the arguments, with PyTorch's texts; return the channel axis from the front."""
    spatial = []
    if input.ndim > 1 or not use_input_stats:
        channel_axis = check_channel_axis(input, channel_axis)
        spatial = [n for axis, n in enumerate(input.shape) if axis not in (0, channel_axis)]
    if use_input_stats and math.prod(spatial) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    missing = [name for name in ("running_mean", "running_var") if parameters[name] is None]
    if missing and not use_input_stats:
        raise ValueError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    if len(missing) == 1:
        raise ValueError("running_mean and running_var must either both be None or neither be None")
    check_per_channel(input, channel_axis, **parameters)
    check_dtypes(input, **parameters)
    return channel_axis
