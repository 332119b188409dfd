"""The uniform initializer."""

from __future__ import annotations

from typing import Any

import jax

from jaxaccel._checked import checked_after
from jaxaccel._layout import check_layout
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init import _draw
from jaxaccel.init._drawing import drawing


@checked_after
def uniform(a: float = 0.0, b: float = 1.0, *, layout: str = "flax") -> Initializer:
    r"""Draw from a uniform distribution.

    .. math::
        U(a, b)

    Args:
        a: The lower end, which can be drawn.
        b: The upper end, which cannot.
        layout: In which order a ``Generator`` fills an array of two or more axes: ``"flax"`` for
            kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)`` and whatever PyTorch keeps as it
            is, an embedding for one.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array. ``key`` is a JAX key or a
        :class:`jaxaccel.random.Generator`; half precision is drawn in float32 and rounded.

    Raises:
        TypeError: from ``init``, a ``key`` that is neither.
        ValueError: ``a`` is above ``b``; a bad ``layout``.

    PyTorch:
        ``torch.nn.init.uniform_``: the same arguments; the same distribution with a JAX key, the
        same bits with a ``Generator``. Left out: the tensor (a new array is returned) and
        ``generator`` (it is the key).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> generator = ja.random.manual_seed(0)
        >>> array = ja.init.uniform(-1.0, 1.0)(generator, (3,), jnp.float32)
        >>> [round(x, 4) for x in array.tolist()]
        [-0.0075, 0.5364, -0.823]
    """
    _draw.check_range(a, b)
    check_layout(layout)

    @drawing
    def init(key: Key | Generator, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        return _draw.uniform(key, shape, dtype, a, b, layout)

    return init
