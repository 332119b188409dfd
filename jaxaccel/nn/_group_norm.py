"""The group normalization layer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel.functional import group_norm
from jaxaccel.nn._arguments import parameter_dtype, value_of


class GroupNorm(nnx.Module):
    """Normalise groups of channels of each sample: (N, ..., num_channels).

    Each group of a sample has its own mean and variance
    (:func:`jaxaccel.functional.group_norm`). ``weight`` and ``bias`` are (num_channels,) or
    None.

    Args:
        num_groups: The groups, of neighbouring channels.
        num_channels: The channels, a multiple of ``num_groups``.
        eps: Added to the variance.
        affine: Whether to scale and shift each channel.
        dtype: Of the parameters; None for float32, which also serves float16 and bfloat16 inputs.
        bias: Whether ``affine`` shifts too.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: the channels do not fall into so many groups; from a call, an input of another
            number of channels.
        TypeError: from a call, a dtype of the input that does not go with the parameters'.

    PyTorch:
        ``torch.nn.GroupNorm``: the same, but channels are last. Left out: ``device`` (JAX places
        arrays). For no group at all PyTorch raises ``ZeroDivisionError``, and ``RuntimeError`` for
        shapes and dtypes.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.GroupNorm(2, 4)
        >>> layer(jnp.array([[1.0, 3.0, 10.0, 30.0]], jnp.float32)).round(4).tolist()
        [[-1.0, 1.0, -1.0, 1.0]]

    References:
        Wu, He. Group Normalization. 2018. https://arxiv.org/abs/1803.08494
    """

    torch_transposed = ()

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        dtype: Any = None,
        *,
        bias: bool = True,
        channel_axis: int = -1,
    ):
        if num_groups < 1:
            raise ValueError(f"Expected num groups to be greater than 0, got {num_groups}")
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.channel_axis = channel_axis
        dtype = parameter_dtype(dtype)
        self.weight: nnx.Param[jax.Array] | None = nnx.data(None)
        self.bias: nnx.Param[jax.Array] | None = nnx.data(None)
        if affine:
            self.weight = nnx.Param(jnp.ones(num_channels, dtype))
        if affine and bias:
            self.bias = nnx.Param(jnp.zeros(num_channels, dtype))

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        weight, bias = value_of(self.weight), value_of(self.bias)
        return group_norm(
            input, self.num_groups, weight, bias, self.eps, channel_axis=self.channel_axis
        )
