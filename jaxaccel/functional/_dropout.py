"""Dropout, of elements and of whole channels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checked import checked
from jaxaccel._types import Key


@checked
def dropout(
    input: jax.Array, p: float = 0.5, training: bool = True, *, key: Key | None = None
) -> jax.Array:
    r"""Zero elements at random, and scale the others so that the mean stays.

    .. math::
        y = x \cdot \frac{m}{1 - p}, \qquad m \sim \text{Bernoulli}(1 - p)

    Args:
        input: Floating point, of any shape.
        p: The probability with which an element is zeroed, in [0, 1].
        training: Whether to draw a mask; else the input comes back as it is.
        key: Draws the mask. It may be missing where nothing is drawn: without ``training`` and for
            ``p`` 0 or 1.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: ``p`` is not in [0, 1], or a mask is needed and there is no ``key``.
        TypeError: numbers would be zeroed that are not floating point.

    PyTorch:
        ``torch.nn.functional.dropout``: the same distribution and scaling, with JAX's random bits,
        and a key in place of the global generator. Left out: ``inplace`` (arrays are immutable).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.dropout(jnp.ones(100), 0.75, key=jax.random.key(0))
        >>> sorted(set(y.tolist()))
        [0.0, 4.0]

    References:
        Hinton et al. Improving neural networks by preventing co-adaptation of feature detectors.
        2012. https://arxiv.org/abs/1207.0580
    """
    check_probability(p)
    return _dropped("dropout", input, input.shape, p, training, key)


@checked
def dropout1d(
    input: jax.Array, p: float = 0.5, training: bool = True, *, key: Key | None = None
) -> jax.Array:
    """Zero whole channels of series at random, channels last.

    Args:
        as :func:`dropout`, for an input (N, L, C) or (L, C): every channel of every example is kept
        or zeroed as a whole.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: as :func:`dropout`, or an input without two or three axes.

    PyTorch:
        as :func:`dropout`, of ``torch.nn.functional.dropout1d``, channels last.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.dropout1d(jnp.ones((2, 5, 8)), key=jax.random.key(0))
        >>> bool((y == y[:, :1]).all())
        True

    References:
        Tompson et al. Efficient Object Localization Using Convolutional Networks. 2015.
        https://arxiv.org/abs/1411.4280
    """
    check_probability(p)
    shape = _channel_mask_shape("dropout1d", 1, (2, 3), input.shape)
    return _dropped("dropout1d", input, shape, p, training, key)


@checked
def dropout2d(
    input: jax.Array, p: float = 0.5, training: bool = True, *, key: Key | None = None
) -> jax.Array:
    """Zero whole channels of images at random, channels last.

    Args:
        as :func:`dropout`, for an input (N, H, W, C): every channel of every example is kept or
        zeroed as a whole.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: as :func:`dropout`, or an input without four axes.

    PyTorch:
        as :func:`dropout`, of ``torch.nn.functional.dropout2d``, channels last. An input with three
        axes raises: PyTorch takes it for (N, C, L), warns, and will take it for one image one day.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.dropout2d(jnp.ones((2, 5, 5, 8)), key=jax.random.key(0))
        >>> bool((y == y[:, :1, :1]).all())
        True

    References:
        as :func:`dropout1d`.
    """
    check_probability(p)
    shape = _channel_mask_shape("dropout2d", 2, (4,), input.shape)
    return _dropped("dropout2d", input, shape, p, training, key)


@checked
def dropout3d(
    input: jax.Array, p: float = 0.5, training: bool = True, *, key: Key | None = None
) -> jax.Array:
    """Zero whole channels of volumes at random, channels last.

    Args:
        as :func:`dropout`, for an input (N, D, H, W, C) or (D, H, W, C): every channel of every
        example is kept or zeroed as a whole.

    Returns:
        Shape and dtype of the input.

    Raises:
        ValueError: as :func:`dropout`, or an input without four or five axes.

    PyTorch:
        as :func:`dropout`, of ``torch.nn.functional.dropout3d``, channels last. PyTorch warns on
        other numbers of axes, here they raise.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.dropout3d(jnp.ones((2, 5, 5, 5, 8)), key=jax.random.key(0))
        >>> bool((y == y[:, :1, :1, :1]).all())
        True

    References:
        as :func:`dropout1d`.
    """
    check_probability(p)
    shape = _channel_mask_shape("dropout3d", 3, (4, 5), input.shape)
    return _dropped("dropout3d", input, shape, p, training, key)


def check_probability(p: float) -> None:
    """Check a probability, with PyTorch's text."""
    if not isinstance(p, Tracer) and not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _dropped(
    name: str,
    input: jax.Array,
    shape: tuple[int, ...],
    p: float,
    training: bool,
    key: Key | None,
) -> jax.Array:
    """Return the input times a mask of ``shape``, which is spread over it."""
    kept = kept_points(name, input, shape, p, training, key)
    if kept is None:
        return input
    if kept is False:
        return input * jnp.zeros((), input.dtype)
    is_traced = isinstance(p, Tracer)
    # The factor is rounded to the input's dtype before it multiplies, as in PyTorch.
    factor = 1 / jnp.where(p == 1, jnp.ones_like(p), 1 - p) if is_traced else 1 / (1 - p)
    noise = jnp.where(kept, jnp.asarray(factor, input.dtype), jnp.zeros((), input.dtype))
    return input * noise


def kept_points(
    name: str,
    input: jax.Array,
    shape: tuple[int, ...],
    p: float,
    training: bool,
    key: Key | None,
) -> jax.Array | bool | None:
    """Return a mask of what is kept; None where nothing is dropped, False where all of it is."""
    is_traced = isinstance(p, Tracer)
    if not training or (not is_traced and p == 0):
        return None
    if not jnp.issubdtype(input.dtype, jnp.inexact):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    if not is_traced and p == 1:
        return False
    if key is None:
        raise ValueError(
            f"{name}() in training draws a mask and needs a key: "
            f"{name}(input, p, key=jax.random.key(0))"
        )
    # A float32 probability draws the same mask whether x64 is on or not.
    return jax.random.bernoulli(key, jnp.asarray(1 - p, np.float32), shape)


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
