"""The layer that puts channels in another order."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel.functional import channel_shuffle


class ChannelShuffle(nnx.Module):
    """Let the groups of channels take turns (:func:`jaxaccel.functional.channel_shuffle`).

    Args:
        groups: How many groups of channels stand one after the other; it divides C.

    Raises:
        ValueError: from a call, ``groups`` that is not positive or does not divide C, or an input
            of less than three axes.

    PyTorch:
        ``torch.nn.ChannelShuffle``: the same order of channels, which are last here. PyTorch raises
        ``RuntimeError``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> ja.nn.ChannelShuffle(2)(jnp.arange(6.0).reshape(1, 1, 6)).ravel().tolist()
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    """

    @checked
    def __init__(self, groups: int):
        self.groups = groups

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the channels in another order."""
        return channel_shuffle(input, self.groups)
