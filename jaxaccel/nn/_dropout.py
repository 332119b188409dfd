"""The dropout layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._types import Generator, Key
from jaxaccel.functional import dropout, dropout1d, dropout2d, dropout3d


class Masked(nnx.Module):
    """What the dropout layers share: the mode, the stream of masks; ``_drop`` is the function."""

    _drop: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(self, p: float = 0.5, *, rngs: nnx.Rngs | Generator | None = None):
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.deterministic = False
        self.rngs = rngs["dropout"].fork() if isinstance(rngs, nnx.Rngs) else nnx.data(None)

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the input with a new mask applied, or as it is in evaluation."""
        return self._drop(input, self.p, not self.deterministic, key=self.mask_key())

    def mask_key(self) -> Key | None:
        """Return what draws the next mask; None where nothing is drawn."""
        if self.deterministic or self.p in (0, 1):
            return None
        if self.rngs is None:
            name = type(self).__name__
            raise ValueError(
                f"{name} in training draws a mask and needs rngs: {name}(p, rngs=nnx.Rngs(0)), or "
                "nnx.view(model, rngs=nnx.Rngs(0)) for a model that a Generator has drawn"
            )
        return self.rngs()

    def set_view(self, deterministic: bool | None = None, rngs: nnx.Rngs | None = None) -> None:
        """Take part in ``nnx.view``: switch the mode of a view, or give it a stream of masks."""
        if deterministic is not None:
            self.deterministic = deterministic
        if rngs is not None:
            self.rngs = rngs["dropout"].fork()


class Dropout(Masked):
    r"""Zero elements at random, and scale the others so that the mean stays.

    :func:`jaxaccel.functional.dropout`. A new layer is in training mode; ``model.eval()`` makes it
    the identity and ``model.train()`` switches back, by flax's attribute ``deterministic``.

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

    _drop = staticmethod(dropout)


class Dropout1d(Masked):
    """Zero whole channels of series at random (:func:`jaxaccel.functional.dropout1d`).

    Args:
        as :class:`Dropout`, for (N, L, C) or (L, C), where a channel is kept or zeroed as a whole.

    PyTorch:
        as :class:`Dropout`, of ``torch.nn.Dropout1d``, channels last.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout1d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 8)))
        >>> bool((y == y[:, :1]).all())
        True
    """

    _drop = staticmethod(dropout1d)


class Dropout2d(Masked):
    """Zero whole channels of images at random (:func:`jaxaccel.functional.dropout2d`).

    Args:
        as :class:`Dropout`, for (N, H, W, C), where a channel is kept or zeroed as a whole.

    PyTorch:
        as :class:`Dropout`, of ``torch.nn.Dropout2d``, channels last. An input with three axes
        raises: PyTorch takes it for (N, C, L), warns, and will take it for one image one day.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout2d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 5, 8)))
        >>> bool((y == y[:, :1, :1]).all())
        True
    """

    _drop = staticmethod(dropout2d)


class Dropout3d(Masked):
    """Zero whole channels of volumes at random (:func:`jaxaccel.functional.dropout3d`).

    Args:
        as :class:`Dropout`, for (N, D, H, W, C) or (D, H, W, C), where a channel is kept or zeroed
        as a whole.

    PyTorch:
        as :class:`Dropout`, of ``torch.nn.Dropout3d``, channels last. PyTorch warns on other
        numbers of axes, here they raise.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout3d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 5, 5, 8)))
        >>> bool((y == y[:, :1, :1, :1]).all())
        True
    """

    _drop = staticmethod(dropout3d)
