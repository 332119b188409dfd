"""What PyTorch's Linear and Conv layers draw when nobody asks."""

from __future__ import annotations

import math
from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing
from jaxaccel.init._kaiming import kaiming_uniform


@checked_after
def default_weight(*, layout: str = "flax") -> Initializer:
    r"""Draw weights as PyTorch's Linear and Conv layers do.

    flax draws a truncated normal of three times that variance (``lecun_normal``).

    .. math::
        U(-b, b), \qquad b = 1 / \sqrt{\text{fan\_in}}

    Args:
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: a bad ``layout``; from ``init``, a shape with fewer than two dimensions.

    PyTorch:
        ``reset_parameters`` of ``torch.nn.Linear`` and ``torch.nn.Conv1d`` to ``Conv3d``: the
        same distribution, written as PyTorch writes it, ``kaiming_uniform(a=sqrt(5))``; the same
        bits with a ``Generator``. Left out: the layer.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> weight = ja.init.default_weight()(jax.random.key(0), (100, 300))
        >>> bool(abs(weight).max() <= 0.1)
        True
        >>> round(float(weight.std()), 2)
        0.06
    """
    return kaiming_uniform(a=math.sqrt(5), layout=layout)


@checked_after
def default_bias(fan_in: int) -> Initializer:
    r"""Draw biases as PyTorch's Linear and Conv layers do.

    flax starts biases at zero.

    .. math::
        U(-b, b), \qquad b = 1 / \sqrt{\text{fan\_in}}

    Args:
        fan_in: How many inputs one output of the layer sees: in_features, or in_channels / groups
            times the size of the window. 0 gives zeros.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: ``fan_in`` is negative.

    PyTorch:
        ``reset_parameters`` of ``torch.nn.Linear`` and ``torch.nn.Conv1d`` to ``Conv3d``: the
        same distribution; the same bits with a ``Generator``, after the weights. Left out: the
        layer, so that its fan_in is an argument.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> bias = ja.init.default_bias(100)(jax.random.key(0), (1000,))
        >>> bool(abs(bias).max() <= 0.1)
        True
        >>> round(float(bias.std()), 2)
        0.06
    """
    if fan_in < 0:
        raise ValueError(f"Invalid fan_in value: {fan_in}")
    bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.uniform(key, shape, dtype, -bound, bound)

    return init
