"""The layer of a leaky ReLU whose slopes are drawn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import Generator
from jaxaccel.functional import rrelu


class RReLU(nnx.Module):
    """Scale what is negative by a slope that is drawn (:func:`jaxaccel.functional.rrelu`).

    A new layer is in training mode; ``model.eval()`` makes the slope the mean of both ends and
    ``model.train()`` switches back, by flax's attribute ``deterministic``.

    Args:
        lower: The smallest slope.
        upper: The largest slope.
        rngs: Its ``dropout`` stream is forked: each call draws the next slopes. It may be missing
            where nothing is drawn: in evaluation, and where both slopes are equal. A
            :class:`jaxaccel.random.Generator` counts as missing, as for :class:`Dropout`.

    Raises:
        ValueError: slopes that are not finite or out of order; from a call, slopes are needed and
            there are no ``rngs``.
        TypeError: from a call, an input that is not floating point.

    PyTorch:
        ``torch.nn.RReLU``: the same distribution, with JAX's random bits. Left out: ``inplace``
        (arrays are immutable). PyTorch raises ``RuntimeError``, when the layer is called.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> layer = ja.nn.RReLU(0.25, 0.75)
        >>> layer.eval()
        >>> layer(jnp.array([-8.0, 2.0])).tolist()
        [-4.0, 2.0]
    """

    @checked
    def __init__(
        self,
        lower: float = 1.0 / 8,
        upper: float = 1.0 / 3,
        *,
        rngs: nnx.Rngs | Generator | None = None,
    ):
        rrelu(jnp.zeros(0), lower, upper)  # which checks them
        self.lower = lower
        self.upper = upper
        self.deterministic = False
        self.rngs = rngs["dropout"].fork() if isinstance(rngs, nnx.Rngs) else nnx.data(None)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the output, in the input's dtype."""
        training = not self.deterministic and self.lower != self.upper
        if training and self.rngs is None:
            raise ValueError(
                "RReLU in training draws slopes and needs rngs: RReLU(rngs=nnx.Rngs(0)), or "
                "nnx.view(model, rngs=nnx.Rngs(0)) for a model that a Generator has drawn"
            )
        key = self.rngs() if training and self.rngs is not None else None
        return rrelu(input, self.lower, self.upper, training, key=key)

    def set_view(self, deterministic: bool | None = None, rngs: nnx.Rngs | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view, or give it a stream of slopes."""
        if deterministic is not None:
            self.deterministic = deterministic
        if rngs is not None:
            self.rngs = rngs["dropout"].fork()
