"""What the layers ask of their arguments, with PyTorch's texts."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._layout import to_flax, to_torch
from jaxaccel._named_arrays import layout_in_class
from jaxaccel._types import Generator, Key


def parameter_dtype(dtype: Any) -> Any:
    """Return the dtype of new parameters: PyTorch's default is float32, x64 or not."""
    return jnp.float32 if dtype is None else dtype


@checked
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
    return rngs.params() if isinstance(rngs, nnx.Rngs) else rngs


def array_of(module: nnx.Module, name: str) -> jax.Array:
    """Return the array of a module's variable, in the layout in which the module's class reads it.

    A variable says itself how it is kept: one that another layer shares may be kept otherwise.
    """
    array = getattr(module, name)[...]
    if _is_kept_as_read(module, name):
        return array
    return to_flax(array) if layout_in_class(module, name) == "flax" else to_torch(array)


def store_array(module: nnx.Module, name: str, array: jax.Array) -> None:
    """Give a variable what :func:`array_of` would return."""
    if not _is_kept_as_read(module, name):
        array = to_torch(array) if layout_in_class(module, name) == "flax" else to_flax(array)
    getattr(module, name)[...] = array


def _is_kept_as_read(module: nnx.Module, name: str) -> bool:
    """Return whether a variable is kept in the layout in which its module reads it."""
    variable = getattr(module, name)
    if isinstance(variable, nnx.Variable):
        kept = variable.get_metadata("layout", None)
    else:  # a parametrization, or a plain array that somebody has put there
        kept = getattr(variable, "layout", None)
    return kept is None or kept == layout_in_class(module, name)


def value_of(variable: nnx.Variable[jax.Array] | None) -> jax.Array | None:
    """Return the array of a variable that may be absent."""
    return None if variable is None else variable[...]


def buffer_of(array: jax.Array | None) -> Any:
    """Return a variable that is not trained, of an array that may be absent."""
    return nnx.data(None) if array is None else nnx.Variable(jnp.asarray(array))


def check_reduction(reduction: str, *others: str, text: str = "is not a valid value for reduction"):
    """Check how a layer reduces its losses, with PyTorch's text of the call."""
    allowed = ("none", "mean", "sum", *others)
    if reduction not in allowed:
        raise ValueError(f"{reduction} {text}\nreduction must be one of {', '.join(allowed)}")
