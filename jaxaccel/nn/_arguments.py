"""What the layers ask of their arguments, with PyTorch's texts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._types import Generator, Key


def parameter_dtype(dtype: Any) -> Any:
    """Return the dtype of new parameters: PyTorch's default is float32, x64 or not."""
    return jnp.float32 if dtype is None else dtype


def params_key(rngs: nnx.Rngs | Generator) -> Key | Generator:
    """Return what an initializer draws a layer's next parameter with.

    Every layer of jaxaccel draws through it, and a layer of one's own can.

    Args:
        rngs: An ``nnx.Rngs``, or a :class:`jaxaccel.random.Generator` for PyTorch's own numbers.

    Returns:
        A new JAX key of the ``params`` stream, or the generator itself.

    Raises:
        TypeError: ``rngs`` is something else: a seed or a key would draw the same numbers for every
            layer.

    PyTorch:
        Not there: a layer draws from the generator of the whole process.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> class Scale(nnx.Module):
        ...     torch_transposed = ()
        ...     def __init__(self, features, *, rngs):
        ...         draw = ja.init.uniform(0.5, 1.5)
        ...         key = ja.nn.params_key(rngs)
        ...         self.factor = nnx.Param(draw(key, (features,), jnp.float32))
        >>> layer = Scale(2, rngs=ja.random.manual_seed(0))
        >>> [round(x, 4) for x in layer.factor.tolist()]
        [0.9963, 1.2682]
    """
    check_rngs(rngs)
    return rngs.params() if isinstance(rngs, nnx.Rngs) else rngs


def check_rngs(rngs: Any) -> None:
    """Raise unless random numbers can be drawn from it again and again."""
    if not isinstance(rngs, (nnx.Rngs, Generator)):
        raise TypeError(
            "rngs must be an nnx.Rngs or a jaxaccel.random.Generator, but got "
            f"{type(rngs).__name__}. For a seed: nnx.Rngs(seed), or "
            "jaxaccel.random.manual_seed(seed) for PyTorch's own numbers; for a key: nnx.Rngs(key)"
        )


def value_of(variable: nnx.Variable[jax.Array] | None) -> jax.Array | None:
    """Return the array of a variable that may be absent."""
    return None if variable is None else variable[...]
