"""The local response normalization layer."""

from __future__ import annotations

import jax
from flax import nnx

from jaxaccel.functional import local_response_norm


class LocalResponseNorm(nnx.Module):
    """Divide each value by a power of what its neighbouring channels sum to.

    See :func:`jaxaccel.functional.local_response_norm`.

    Args:
        size: The channels of a neighbourhood.
        alpha: Factor of the neighbourhood's mean square.
        beta: The power.
        k: Added to it.
        channel_axis: The axis of the channels; -1 is channels last, 1 is PyTorch's.

    Raises:
        ValueError: from a call, an input with less than three axes.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.LocalResponseNorm``: the same, but channels are last.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.LocalResponseNorm(2, alpha=1.0, beta=1.0)
        >>> round(float(layer(jnp.ones((1, 1, 2), jnp.float32))[0, 0, 0]), 4)
        0.6667

    References:
        Krizhevsky, Sutskever, Hinton. ImageNet Classification with Deep Convolutional Neural
        Networks. 2012.
    """

    def __init__(
        self,
        size: int,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        *,
        channel_axis: int = -1,
    ):
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.channel_axis = channel_axis

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        return local_response_norm(
            input, self.size, self.alpha, self.beta, self.k, channel_axis=self.channel_axis
        )
