"""The identity for convolutions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._checked import checked_after
from jaxaccel._checks import check_positive_integer
from jaxaccel._layout import check_layout, from_torch, shape_in_torch
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init._drawing import drawing


@checked_after
def dirac(groups: int = 1, *, layout: str = "flax") -> Initializer:
    """Return the kernel of a convolution that passes its input channels on.

    In each group output channel c is input channel c, as far as there are both; further outputs
    are zero. The one is in the middle of the window, past it for an even size.

    Args:
        groups: The groups of the convolution; the output channels are a multiple of it.
        layout: ``"flax"`` for kernels ``(*k, I, O)``, ``"torch"`` for ``(O, I, *k)``.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array; ``key`` is not used.

    Raises:
        TypeError: ``groups`` is not an integer.
        ValueError: ``groups`` is below 1; a bad ``layout``; from ``init``, a shape without three,
            four or five dimensions, or outputs that ``groups`` does not divide.

    PyTorch:
        ``torch.nn.init.dirac_``: the same. Left out: the tensor (a new array is returned). PyTorch
        raises ``ZeroDivisionError`` for 0 groups and takes a negative number for none.

    Example:
        >>> import jaxaccel as ja
        >>> kernel = ja.init.dirac()(None, (3, 3, 2, 2))
        >>> kernel[1, 1].tolist(), float(kernel.sum())
        ([[1.0, 0.0], [0.0, 1.0]], 2.0)
    """
    groups = check_positive_integer("groups", groups)
    check_layout(layout)

    @drawing
    def init(key: Key | Generator | None, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        if len(shape) not in (3, 4, 5):
            raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
        outputs, inputs, *window = shape_in_torch(shape, layout)
        if outputs % groups != 0:
            raise ValueError("dim 0 must be divisible by groups")
        start = np.arange(groups) * (outputs // groups)
        channel = np.arange(min(outputs // groups, inputs))
        middle = tuple(size // 2 for size in window)
        kernel = jnp.zeros((outputs, inputs, *window), dtype)
        kernel = kernel.at[(start[:, None] + channel, channel[None], *middle)].set(1)
        return from_torch(kernel, layout)

    return init
