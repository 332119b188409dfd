"""The identity for linear layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked_after
from jaxaccel._types import Generator, Initializer, Key
from jaxaccel.init._drawing import drawing


@checked_after
def eye() -> Initializer:
    """Return the identity matrix: a linear layer passes on as many inputs as it has outputs for.

    A matrix with more rows or columns has zeros there. Both layouts are the same.

    Returns:
        ``init(key, shape, dtype=float)``, which returns a new array; ``key`` is not used.

    Raises:
        ValueError: from ``init``, a shape without exactly two dimensions.

    PyTorch:
        ``torch.nn.init.eye_``: the same. Left out: the tensor (a new array is returned).

    Example:
        >>> import jaxaccel as ja
        >>> ja.init.eye()(None, (2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """

    @drawing
    def init(key: Key | Generator | None, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
        if len(shape) != 2:
            raise ValueError("Only tensors with 2 dimensions are supported")
        return jnp.eye(*shape, dtype=dtype)

    return init
