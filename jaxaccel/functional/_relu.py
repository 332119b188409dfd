"""Rectified linear units."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._hard import hardtanh
from jaxaccel.functional._threshold import threshold
from jaxaccel.functional._wide import in_wide


@checked
def relu(input: jax.Array) -> jax.Array:
    r"""Keep what is positive and zero the rest.

    .. math::
        y = \max(x, 0)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input. The gradient at 0 is 0.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.relu``: the same. Left out: ``inplace``, and integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.relu(jnp.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    return threshold(input, 0.0, 0.0)


@checked
def relu6(input: jax.Array) -> jax.Array:
    r"""Clip to [0, 6].

    .. math::
        y = \min(\max(x, 0), 6)

    Args:
        input: Floating point, of any shape.

    Returns:
        Shape and dtype of the input. The gradients at 0 and 6 are 0.

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.relu6``: the same. Left out: ``inplace``, and integer inputs.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.relu6(jnp.array([-1.0, 5.0, 7.0])).tolist()
        [0.0, 5.0, 6.0]
    """
    return hardtanh(input, 0.0, 6.0)


@checked
@operation("leaky_relu")
def leaky_relu(input: jax.Array, negative_slope: float = 0.01) -> jax.Array:
    r"""Scale what is negative down.

    .. math::
        y = x \text{ if } x > 0 \text{ else } \text{negative\_slope} \cdot x

    Args:
        input: Floating point, of any shape.
        negative_slope: The factor for what is not positive.

    Returns:
        Shape and dtype of the input. The gradient at 0 is ``negative_slope`` (in
        ``jax.nn.leaky_relu`` it is 1).

    Raises:
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.leaky_relu``: the same. Left out: ``inplace``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.leaky_relu(jnp.array([-1.0, 2.0]), 0.5).tolist()
        [-0.5, 2.0]
    """
    return in_wide(lambda x: jnp.where(x > 0, x, negative_slope * x), input)


@checked
@operation("prelu", low=None, has_wide=False)
def prelu(input: jax.Array, weight: jax.Array, *, channel_axis: int = -1) -> jax.Array:
    r"""Scale what is negative by a slope that is learned, for all or for each channel.

    .. math::
        y = x \text{ if } x > 0 \text{ else } w x

    Args:
        input: Floating point; its channels are last.
        weight: The slopes: (C,), or one for all channels.
        channel_axis: The axis of length C; -1 is channels last, 1 is PyTorch's. An input with
            fewer than two axes has one channel.

    Returns:
        Shape and dtype of the input. The gradient at 0 is the slope.

    Raises:
        ValueError: ``weight`` has neither 1 element nor C, or two axes.
        TypeError: ``input`` is not floating point, or ``weight`` has another dtype.

    PyTorch:
        ``torch.nn.functional.prelu``: the same, channels last. PyTorch raises ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.prelu(jnp.full((1, 2), -4.0), jnp.array([0.25, 0.5])).tolist()
        [[-1.0, -2.0]]

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers. 2015. https://arxiv.org/abs/1502.01852
    """
    if weight.size != 1 and input.ndim == 0:
        raise ValueError("Not allow zero-dim input tensor.\nIt has one channel: give one slope")
    if input.ndim > 1 and not -input.ndim <= channel_axis < input.ndim:
        raise ValueError(
            f"channel_axis={channel_axis} is not an axis of an input of shape {input.shape}; leave "
            "it out where channels are last, as here, or say 1 where they are second, as in PyTorch"
        )
    channels = input.shape[channel_axis] if input.ndim > 1 else 1
    if weight.size not in (1, channels):
        raise ValueError(
            "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
            f"{weight.size} and channel size = {channels}."
        )
    if weight.ndim > 1:
        raise ValueError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: "
            f"ndim = {weight.ndim}\nGive one slope for each channel: weight.ravel()"
        )
    if weight.dtype != input.dtype:
        raise TypeError(
            f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}"
        )
    shape = [1] * input.ndim
    if weight.size != 1:
        shape[channel_axis] = channels
    slope = weight.reshape(shape)
    return in_wide(lambda x: jnp.where(x > 0, x, slope.astype(x.dtype) * x), input)
