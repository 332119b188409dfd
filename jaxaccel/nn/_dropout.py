"""The dropout layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._types import Generator


class Dropout(nnx.Module):
    r"""Zero elements at random, and scale the others so that the mean stays.

    A new layer is in training mode; ``model.eval()`` makes it the identity and ``model.train()``
    switches back, by flax's attribute ``deterministic``.

    .. math::
        y = x \cdot \frac{m}{1 - p}, \qquad m \sim \text{Bernoulli}(1 - p)

    Args:
        p: The probability with which an element is zeroed, in [0, 1].
        rngs: Its ``dropout`` stream is forked: each call draws the next mask. It may be missing
            where nothing is drawn: in evaluation and for ``p`` 0 or 1. A
            :class:`jaxaccel.random.Generator`, which cannot draw in a compiled step, counts as
            missing; ``nnx.view(model, rngs=nnx.Rngs(0))`` gives every layer a stream afterwards.

    Raises:
        ValueError: ``p`` is not in [0, 1]; from a call, a mask is needed and there are no ``rngs``.

    PyTorch:
        ``torch.nn.Dropout``: the same distribution and scaling, with JAX's random bits. Left out:
        ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout(0.75, rngs=nnx.Rngs(0))
        >>> sorted(set(layer(jnp.ones(100)).tolist()))
        [0.0, 4.0]

    References:
        Hinton et al. Improving neural networks by preventing co-adaptation of feature detectors.
        2012. https://arxiv.org/abs/1207.0580
    """

    def __init__(self, p: float = 0.5, *, rngs: nnx.Rngs | Generator | None = None):
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.deterministic = False
        self.rngs = rngs["dropout"].fork() if isinstance(rngs, nnx.Rngs) else nnx.data(None)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the input with a new mask applied, or as it is in evaluation."""
        if self.deterministic or self.p == 0:
            return input
        if self.p == 1:
            return input * jnp.zeros((), input.dtype)
        if self.rngs is None:
            raise ValueError(
                "Dropout in training draws a mask and needs rngs: Dropout(p, rngs=nnx.Rngs(0)), or "
                "nnx.view(model, rngs=nnx.Rngs(0)) for a model that a Generator has drawn"
            )
        # A float32 probability draws the same mask whether x64 is on or not.
        kept = jax.random.bernoulli(self.rngs(), np.float32(1 - self.p), input.shape)
        # The factor is rounded to the input's dtype before it multiplies, as in PyTorch.
        noise = jnp.where(
            kept, jnp.asarray(1 / (1 - self.p), input.dtype), jnp.zeros((), input.dtype)
        )
        return input * noise

    def set_view(self, deterministic: bool | None = None, rngs: nnx.Rngs | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view, or give it a stream of masks."""
        if deterministic is not None:
            self.deterministic = deterministic
        if rngs is not None:
            self.rngs = rngs["dropout"].fork()
