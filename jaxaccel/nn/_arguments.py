"""What the layers ask of their arguments, with PyTorch's texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator, Key


def pair(value: int | Sequence[int], text: str) -> tuple[int, int]:
    """Return ``value`` for both spatial axes; ``text`` says what is wrong with another length."""
    if isinstance(value, int):
        return value, value
    if len(value) != 2:
        raise ValueError(text)
    return value[0], value[1]


def parameter_dtype(dtype: Any) -> Any:
    """Return the dtype of new parameters: PyTorch's default is float32, x64 or not."""
    return jnp.float32 if dtype is None else dtype


def params_key(rngs: nnx.Rngs | Generator) -> Key | Generator:
    """Return what draws a layer's next parameter: a new JAX key, or the generator itself."""
    # An nnx.Rngs has every attribute that it is asked for, and so the protocol's.
    if isinstance(rngs, Generator) and not isinstance(rngs, nnx.Rngs):
        return rngs
    return rngs.params()


def check_same_dtype(input: jax.Array, weight: jax.Array, bias: jax.Array | None) -> None:
    """Raise on mixed dtypes, as PyTorch does; JAX would promote them in silence."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value.dtype != input.dtype:
            raise TypeError(
                f"expected input and {name} to have the same dtype, but got: "
                f"{input.dtype} != {value.dtype}"
            )


def add_bias(output: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Add a bias along the last axis."""
    if bias is None:
        return output
    return output + jax.lax.expand_dims(bias, range(output.ndim - 1))
