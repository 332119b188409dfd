"""The dropout layers for networks of SELU."""

from __future__ import annotations

from jaxaccel.functional import alpha_dropout, feature_alpha_dropout
from jaxaccel.nn._dropout import Masked


class AlphaDropout(Masked):
    """Set elements to SELU's lowest value at random, and scale all back.

    :func:`jaxaccel.functional.alpha_dropout`: the mean stays 0 and the variance 1.

    Args:
        as :class:`Dropout`.

    Raises:
        as :class:`Dropout`.

    PyTorch:
        as :class:`Dropout`, of ``torch.nn.AlphaDropout``.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.AlphaDropout(0.5, rngs=nnx.Rngs(0))
        >>> [round(x, 4) for x in sorted(set(layer(jnp.zeros(99)).tolist()))]
        [-0.7792, 0.7792]
    """

    _drop = staticmethod(alpha_dropout)


class FeatureAlphaDropout(Masked):
    """Set whole channels to SELU's lowest value at random, and scale all back.

    :func:`jaxaccel.functional.feature_alpha_dropout`, channels last.

    Args:
        as :class:`Dropout`, for (N, ..., C), where a channel is kept or dropped as a whole.

    Raises:
        as :class:`Dropout`.

    PyTorch:
        as :class:`Dropout`, of ``torch.nn.FeatureAlphaDropout``, channels last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.FeatureAlphaDropout(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 8)))
        >>> bool((y == y[:, :1]).all())
        True
    """

    _drop = staticmethod(feature_alpha_dropout)
