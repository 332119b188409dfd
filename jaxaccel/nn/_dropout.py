"""The dropout layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxaccel._types import Generator
from jaxaccel.nn._arguments import check_rngs


class _Dropout(nnx.Module):
    """What the dropout layers share: the mode, the stream of masks, the scaling."""

    def __init__(self, p: float = 0.5, *, rngs: nnx.Rngs | Generator | None = None):
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        if rngs is not None:
            check_rngs(rngs)
        self.p = p
        self.deterministic = False
        self.rngs = rngs["dropout"].fork() if isinstance(rngs, nnx.Rngs) else nnx.data(None)

    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the input with a new mask applied, or as it is in evaluation."""
        shape = self._mask_shape(input.shape)
        if self.deterministic or self.p == 0:
            return input
        if self.p == 1:
            return input * jnp.zeros((), input.dtype)
        if self.rngs is None:
            name = type(self).__name__
            raise ValueError(
                f"{name} in training draws a mask and needs rngs: {name}(p, rngs=nnx.Rngs(0)), or "
                "nnx.view(model, rngs=nnx.Rngs(0)) for a model that a Generator has drawn"
            )
        # A float32 probability draws the same mask whether x64 is on or not.
        kept = jax.random.bernoulli(self.rngs(), np.float32(1 - self.p), shape)
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

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a mask, which is spread over the input."""
        return shape


class Dropout(_Dropout):
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


class Dropout1d(_Dropout):
    r"""Zero whole channels of series at random, channels last: (N, L, C).

    Every channel of every example is kept or zeroed as a whole; else as :class:`Dropout`. A series
    without a batch axis works too.

    .. math::
        y_{n \cdot c} = x_{n \cdot c} \cdot \frac{m_{nc}}{1 - p},
        \qquad m \sim \text{Bernoulli}(1 - p)

    Args:
        p: The probability with which a channel is zeroed, in [0, 1].
        rngs: Its ``dropout`` stream is forked: each call draws the next mask. It may be missing
            where nothing is drawn (:class:`Dropout`).

    Raises:
        ValueError: ``p`` is not in [0, 1]; from a call, an input without two or three axes, or a
            mask is needed and there are no ``rngs``.

    PyTorch:
        ``torch.nn.Dropout1d``: the same distribution and scaling, with JAX's random bits, channels
        last. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout1d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 8)))
        >>> bool((y == y[:, :1]).all())
        True

    References:
        Tompson et al. Efficient Object Localization Using Convolutional Networks. 2015.
        https://arxiv.org/abs/1411.4280
    """

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _channel_mask_shape("dropout1d", 1, (2, 3), shape)


class Dropout2d(_Dropout):
    r"""Zero whole channels of images at random, channels last: (N, H, W, C).

    Every channel of every example is kept or zeroed as a whole; else as :class:`Dropout`.

    .. math::
        y_{n \cdot c} = x_{n \cdot c} \cdot \frac{m_{nc}}{1 - p},
        \qquad m \sim \text{Bernoulli}(1 - p)

    Args:
        p: The probability with which a channel is zeroed, in [0, 1].
        rngs: Its ``dropout`` stream is forked: each call draws the next mask. It may be missing
            where nothing is drawn (:class:`Dropout`).

    Raises:
        ValueError: ``p`` is not in [0, 1]; from a call, an input without four axes, or a mask is
            needed and there are no ``rngs``.

    PyTorch:
        ``torch.nn.Dropout2d``: the same distribution and scaling, with JAX's random bits, channels
        last. An input with three axes raises: PyTorch takes it for (N, C, L), warns, and will
        take it for one image one day. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout2d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 5, 8)))
        >>> bool((y == y[:, :1, :1]).all())
        True

    References:
        Tompson et al. Efficient Object Localization Using Convolutional Networks. 2015.
        https://arxiv.org/abs/1411.4280
    """

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _channel_mask_shape("dropout2d", 2, (4,), shape)


class Dropout3d(_Dropout):
    r"""Zero whole channels of volumes at random, channels last: (N, D, H, W, C).

    Every channel of every example is kept or zeroed as a whole; else as :class:`Dropout`. A volume
    without a batch axis works too.

    .. math::
        y_{n \cdot c} = x_{n \cdot c} \cdot \frac{m_{nc}}{1 - p},
        \qquad m \sim \text{Bernoulli}(1 - p)

    Args:
        p: The probability with which a channel is zeroed, in [0, 1].
        rngs: Its ``dropout`` stream is forked: each call draws the next mask. It may be missing
            where nothing is drawn (:class:`Dropout`).

    Raises:
        ValueError: ``p`` is not in [0, 1]; from a call, an input without four or five axes, or a
            mask is needed and there are no ``rngs``.

    PyTorch:
        ``torch.nn.Dropout3d``: the same distribution and scaling, with JAX's random bits, channels
        last. PyTorch warns on other numbers of axes, here they raise. Left out: ``inplace`` (arrays
        are immutable).

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.Dropout3d(0.5, rngs=nnx.Rngs(0))
        >>> y = layer(jnp.ones((2, 5, 5, 5, 8)))
        >>> bool((y == y[:, :1, :1, :1]).all())
        True

    References:
        Tompson et al. Efficient Object Localization Using Convolutional Networks. 2015.
        https://arxiv.org/abs/1411.4280
    """

    def _mask_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return _channel_mask_shape("dropout3d", 3, (4, 5), shape)


def _channel_mask_shape(
    name: str, axes: int, allowed: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[int, ...]:
    """Return the shape of a mask with one number for each channel of each example."""
    if len(shape) not in allowed:
        expected = " or ".join(f"{ndim}D" for ndim in allowed)
        raise ValueError(
            f"{name}: Expected {expected} input, but received a {len(shape)}D input. Note that "
            f"{name} exists to provide channel-wise dropout on inputs with {axes} spatial "
            f"dimension{'s' if axes > 1 else ''}, a channel dimension, and an optional batch "
            f"dimension (i.e. {expected} inputs)."
        )
    return (*shape[: -axes - 1], *(1,) * axes, shape[-1])
