"""The normal initializer."""

from __future__ import annotations

from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._checks import check_std
from jaxaccel._layout import check_layout
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def normal(mean: float = 0.0, std: float = 1.0, *, layout: str = "flax") -> Initializer:
    r"""Draw from a normal distribution, not truncated.

    .. math::
        N(\text{mean}, \text{std}^2)

    Args:
        mean: The mean.
        std: The standard deviation, at least 0.
        layout: In which order a ``Generator`` fills an array of two or more axes: ``"flax"`` for
            kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)`` and whatever PyTorch keeps as it
            is, an embedding for one.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: ``std`` is negative; a bad ``layout``.

    PyTorch:
        ``torch.nn.init.normal_``: the same arguments; the same distribution with a JAX key, the
        same bits with a ``Generator``. Left out: the tensor (a new array is returned) and
        ``generator`` (it is the key).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> array = ja.init.normal(std=0.02)(generator, (3,), jnp.float32)
        >>> [round(x, 4) for x in array.tolist()]
        [0.0308, -0.0059, -0.0436]
    """
    check_std(std)
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.normal(key, shape, dtype, mean, std, layout)

    return init
