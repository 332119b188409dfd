"""Initial numbers of parameters that no layer draws by itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator, Initializer


def draw(
    init: Initializer, shape: tuple[int, ...], dtype: Any, rngs: nnx.Rngs | Generator
) -> jax.Array:
    """Draw an array from the ``params`` stream, or from a generator; ``None`` is float32."""
    key = rngs.params() if isinstance(rngs, nnx.Rngs) else rngs
    return init(key, shape, jnp.float32 if dtype is None else dtype)
