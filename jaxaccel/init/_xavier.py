"""Xavier (Glorot) initializers."""

from __future__ import annotations

import math
from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._layout import check_layout, fans
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def xavier_uniform(gain: float = 1.0, *, layout: str = "flax") -> Initializer:
    r"""Draw weights uniformly, with a variance between the one for fan_in and for fan_out.

    .. math::
        U(-b, b), \qquad b = \text{gain} \sqrt{6 / (\text{fan\_in} + \text{fan\_out})}

    Args:
        gain: A factor, at least 0; :func:`calculate_gain` knows those of common nonlinearities.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: a bad ``layout``; from ``init``, a shape with fewer than two dimensions or a
            negative ``gain``.

    PyTorch:
        ``torch.nn.init.xavier_uniform_``: the same arguments; the same distribution with a
        JAX key, the same bits with a ``Generator``. Left out: the tensor (a new array is returned)
        and ``generator`` (it is the key).

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.xavier_uniform()(jax.random.key(0), (400, 200))
        >>> bool(abs(weight).max() <= 0.1)  # sqrt(6 / 600)
        True
        >>> round(float(weight.std()), 2)
        0.06

    References:
        Glorot, Bengio. Understanding the difficulty of training deep feedforward neural networks.
        2010.
    """
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        bound = math.sqrt(3.0) * _std(gain, shape, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


@checked_after
def xavier_normal(gain: float = 1.0, *, layout: str = "flax") -> Initializer:
    r"""Draw weights from a normal, with a variance between the one for fan_in and for fan_out.

    The normal is not truncated (``jax.nn.initializers.glorot_normal`` is).

    .. math::
        N(0, \sigma^2), \qquad
        \sigma = \text{gain} \sqrt{2 / (\text{fan\_in} + \text{fan\_out})}

    Args:
        as :func:`xavier_uniform`.

    Returns:
        as :func:`xavier_uniform`.

    Raises:
        as :func:`xavier_uniform`.

    PyTorch:
        ``torch.nn.init.xavier_normal_``: the same arguments; the same distribution with a
        JAX key, the same bits with a ``Generator``. Left out: the tensor (a new array is returned)
        and ``generator`` (it is the key).

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.xavier_normal()(jax.random.key(0), (600, 200))
        >>> round(float(weight.std()), 2)  # sqrt(2 / 800)
        0.05

    References:
        Glorot, Bengio. Understanding the difficulty of training deep feedforward neural networks.
        2010.
    """
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, layout), layout)

    return init


def _std(gain: float, shape: tuple[int, ...], layout: str) -> float:
    """Return the standard deviation."""
    fan_in, fan_out = fans(shape, layout)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))
