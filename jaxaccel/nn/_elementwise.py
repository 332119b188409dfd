"""What the layers of a function without arguments share."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import jax
from flax import nnx

from jaxaccel._checked import checked


class Elementwise(nnx.Module):
    """A layer that applies ``_function`` to each number of its input."""

    _function: ClassVar[Callable[..., jax.Array]]

    @checked
    def __init__(self) -> None:
        pass

    @checked
    def __call__(self, input: jax.Array) -> jax.Array:
        """Return the layer's function of the input, in the input's shape and dtype."""
        return self._function(input)
