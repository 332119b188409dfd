"""Dropout for networks of SELU, which keeps mean and variance."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked
from jaxaccel._types import Key
from jaxaccel.functional._dropout import check_probability, kept_points

_ALPHA = 1.7580993408473766
"""Minus the value that SELU approaches on the left."""


@checked
def alpha_dropout(
    input: jax.Array, p: float = 0.5, training: bool = False, *, key: Key | None = None
) -> jax.Array:
    r"""Set elements to SELU's lowest value at random, and scale all back to mean 0 and variance 1.

    .. math::
        y = a (x m + \alpha' (1 - m)) + b, \qquad m \sim \text{Bernoulli}(1 - p)

    with :math:`\alpha' = -\lambda \alpha` of :func:`selu`,
    :math:`a = ((1 - p)(1 + p \alpha'^2))^{-1/2}` and :math:`b = -a p \alpha'`.

    Args:
        input: Floating point, of any shape.
        p: The probability with which an element is dropped, in [0, 1].
        training: Whether to draw a mask; else the input comes back as it is.
        key: Draws the mask. It may be missing where nothing is drawn: without ``training`` and for
            ``p`` 0 or 1.

    Returns:
        Shape and dtype of the input; zeros for ``p`` 1.

    Raises:
        ValueError: ``p`` is not in [0, 1], or a mask is needed and there is no ``key``.
        TypeError: elements would be dropped that are not floating point.

    PyTorch:
        ``torch.nn.functional.alpha_dropout``: the same distribution and scaling, with JAX's random
        bits, and a key in place of the global generator. Left out: ``inplace`` (arrays are
        immutable).

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> y = ja.functional.alpha_dropout(jnp.zeros(99), 0.5, True, key=jax.random.key(0))
        >>> [round(x, 4) for x in sorted(set(y.tolist()))]
        [-0.7792, 0.7792]

    References:
        Klambauer et al. Self-Normalizing Neural Networks. 2017. https://arxiv.org/abs/1706.02515
    """
    check_probability(p)
    return _alpha_dropped("alpha_dropout", input, input.shape, p, training, key)


@checked
def feature_alpha_dropout(
    input: jax.Array, p: float = 0.5, training: bool = False, *, key: Key | None = None
) -> jax.Array:
    """Set whole channels to SELU's lowest value at random, and scale all back.

    Args:
        as :func:`alpha_dropout`, for an input (N, ..., C): every channel of every example is kept
        or dropped as a whole.

    Returns:
        Shape and dtype of the input; zeros for ``p`` 1.

    Raises:
        ValueError: as :func:`alpha_dropout`, or an input of less than two axes.

    PyTorch:
        as :func:`alpha_dropout`, of ``torch.nn.functional.feature_alpha_dropout``, channels last.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> key = jax.random.key(0)
        >>> y = ja.functional.feature_alpha_dropout(jnp.ones((2, 5, 8)), 0.5, True, key=key)
        >>> bool((y == y[:, :1]).all())
        True

    References:
        as :func:`alpha_dropout`.
    """
    check_probability(p)
    if training and input.ndim < 2:
        raise ValueError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*input.shape[:1], *(1,) * (input.ndim - 2), *input.shape[1:][-1:])
    return _alpha_dropped("feature_alpha_dropout", input, shape, p, training, key)


def _alpha_dropped(
    name: str, input: jax.Array, shape: tuple[int, ...], p: float, training: bool, key: Key | None
) -> jax.Array:
    """Return the input under a mask of ``shape``, which is spread over it."""
    kept = kept_points(name, input, shape, p, training, key)
    if kept is None:
        return input
    if kept is False:
        return input * jnp.zeros((), input.dtype)
    # Rounded to the input's dtype before they multiply, as in PyTorch.
    a = ((_ALPHA * _ALPHA * p + 1) * (1 - p)) ** -0.5
    noise = jnp.where(kept, jnp.asarray(a, input.dtype), jnp.zeros((), input.dtype))
    lift = jnp.asarray(_ALPHA * a * p, input.dtype)
    shift = jnp.where(kept, lift, lift - jnp.asarray(_ALPHA * a, input.dtype))
    return input * noise + shift
