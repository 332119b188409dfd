"""The truncated normal initializer."""

from __future__ import annotations

from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._layout import check_layout
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def trunc_normal(
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    layout: str = "flax",
) -> Initializer:
    r"""Draw from a normal distribution, and only between two numbers.

    ``a`` and ``b`` are numbers, and not multiples of ``std``: with a ``std`` of 0.02 the defaults
    cut nothing off (``jax.nn.initializers.truncated_normal`` counts in standard deviations).

    .. math::
        N(\text{mean}, \text{std}^2) \text{ within } [a, b]

    Args:
        mean: The mean, before anything is cut off.
        std: The standard deviation before anything is cut off, positive.
        a: The smallest number.
        b: The largest number, at least ``a``.
        layout: In which order a ``Generator`` fills an array of two or more axes: ``"flax"`` for
            kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)`` and whatever PyTorch keeps as it
            is, an embedding for one.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: ``a`` is above ``b``; ``std`` is not positive; a bad ``layout``.

    PyTorch:
        ``torch.nn.init.trunc_normal_``: the same arguments, and the warning when the mean is far
        outside; the same distribution with a JAX key, the same bits with a ``Generator``. A JAX key
        draws from the inverse of the distribution function, where PyTorch draws again. Left out:
        the tensor (a new array is returned) and ``generator`` (it is the key). PyTorch raises
        ``ZeroDivisionError`` for a ``std`` of 0 and takes a negative one for its absolute value.

    Example:
        >>> import jax
        >>> import jaxaccel as ja
        >>> array = ja.init.trunc_normal(std=2.0, a=-1.0, b=1.0)(jax.random.key(0), (10_000,))
        >>> bool(abs(array).max() <= 1.0)
        True
        >>> round(float(array.std()), 2)
        0.57
    """
    _draw.check_range(a, b)
    if not std > 0:
        raise ValueError(f"trunc_normal expects std > 0.0, but found std {std:g}")
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.trunc_normal(key, shape, dtype, mean, std, a, b, layout)

    return init
