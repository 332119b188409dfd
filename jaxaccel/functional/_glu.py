"""The gated linear unit."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._operations import operation
from jaxaccel.functional._wide import axis_of, in_wide


@checked
@operation("glu")
def glu(input: jax.Array, dim: int = -1) -> jax.Array:
    r"""Multiply one half of the input by the sigmoid of the other.

    .. math::
        y = a \, \sigma(b), \qquad (a, b) = x

    Args:
        input: Floating point, of even length along ``dim``.
        dim: The axis that is halved, as the input has it: -1 is the channels where they are last.

    Returns:
        The input's shape with ``dim`` halved, and its dtype.

    Raises:
        ValueError: the axis has an odd length, or the input has no axes.
        IndexError: there is no axis ``dim``.
        TypeError: ``input`` is not floating point.

    PyTorch:
        ``torch.nn.functional.glu``: the same. PyTorch raises ``RuntimeError`` for the shape.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.functional.glu(jnp.array([3.0, 0.0])).tolist()
        [1.5]

    References:
        Dauphin et al. Language Modeling with Gated Convolutional Networks. 2016.
        https://arxiv.org/abs/1612.08083
    """
    if input.ndim == 0:
        raise ValueError("glu does not support scalars because halving size must be even")
    dim = axis_of(dim, input.ndim)
    if input.shape[dim] % 2:
        raise ValueError(
            f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}"
        )

    def gated(x: jax.Array) -> jax.Array:
        value, gate = jnp.split(x, 2, dim)
        return value * jax.nn.sigmoid(gate)

    return in_wide(gated, input)
