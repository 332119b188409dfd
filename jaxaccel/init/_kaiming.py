"""Kaiming (He) initializers."""

from __future__ import annotations

import math
import warnings
from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._layout import check_layout, fans
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing
from jaxaccel.init._gain import calculate_gain


@checked_after
def kaiming_uniform(
    a: float | None = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    layout: str = "flax",
) -> Initializer:
    r"""Draw weights uniformly, with the variance that keeps signals their size.

    .. math::
        U(-b, b), \qquad b = \text{gain} \sqrt{3 / \text{fan}}

    Args:
        a: The negative slope of the rectifier that follows; used by ``"leaky_relu"`` only,
            None for 0.01.
        mode: ``"fan_in"`` keeps the variance on the way forward, ``"fan_out"`` on the way back.
        nonlinearity: A name that :func:`calculate_gain` knows.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: a bad ``mode``, ``nonlinearity``, ``a`` or ``layout``; from ``init``, a shape
            with fewer than two dimensions.

    PyTorch:
        ``torch.nn.init.kaiming_uniform_``: the same arguments; the same distribution with a
        JAX key, the same bits with a ``Generator``. Left out: the tensor (a new array is returned)
        and ``generator`` (it is the key).

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.kaiming_uniform(nonlinearity="relu")(jax.random.key(0), (600, 50))
        >>> bool(abs(weight).max() <= 0.1)  # sqrt(2) * sqrt(3 / 600)
        True
        >>> round(float(weight.std()), 2)
        0.06

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers: Surpassing Human-Level Performance on
        ImageNet Classification. 2015. https://arxiv.org/abs/1502.01852
    """
    mode, gain = _checked(a, mode, nonlinearity, layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        bound = math.sqrt(3.0) * _std(gain, shape, mode, layout)
        return _draw.uniform(key, shape, dtype, -bound, bound, layout)

    return init


@checked_after
def kaiming_normal(
    a: float | None = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    layout: str = "flax",
) -> Initializer:
    r"""Draw weights from a normal, with the variance that keeps signals their size.

    The normal is not truncated (``jax.nn.initializers.he_normal`` is).

    .. math::
        N(0, \sigma^2), \qquad \sigma = \text{gain} / \sqrt{\text{fan}}

    Args:
        as :func:`kaiming_uniform`.

    Returns:
        as :func:`kaiming_uniform`.

    Raises:
        as :func:`kaiming_uniform`.

    PyTorch:
        ``torch.nn.init.kaiming_normal_``: the same arguments; the same distribution with a
        JAX key, the same bits with a ``Generator``. Left out: the tensor (a new array is returned)
        and ``generator`` (it is the key).

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.kaiming_normal(nonlinearity="relu")(jax.random.key(0), (800, 50))
        >>> round(float(weight.std()), 2)  # sqrt(2 / 800)
        0.05

    References:
        He, Zhang, Ren, Sun. Delving Deep into Rectifiers: Surpassing Human-Level Performance on
        ImageNet Classification. 2015. https://arxiv.org/abs/1502.01852
    """
    mode, gain = _checked(a, mode, nonlinearity, layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.normal(key, shape, dtype, 0.0, _std(gain, shape, mode, layout), layout)

    return init


def _checked(a: float | None, mode: str, nonlinearity: str, layout: str) -> tuple[str, float]:
    """Check the arguments; return the mode in lower case and the gain."""
    mode = mode.lower()
    valid_modes = ["fan_in", "fan_out"]
    if mode not in valid_modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {valid_modes}")
    check_layout(layout)
    return mode, calculate_gain(nonlinearity, a)


def _std(gain: float, shape: tuple[int, ...], mode: str, layout: str) -> float:
    """Return the standard deviation; an empty kernel needs none, and PyTorch warns."""
    if 0 in shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return 0.0
    fan_in, fan_out = fans(shape, layout)
    return gain / math.sqrt(fan_in if mode == "fan_in" else fan_out)
