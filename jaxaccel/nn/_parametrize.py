"""Put a computed parameter in the place of a plain one, and back."""

from __future__ import annotations

from typing import Any, TypeVar

import jax
from flax import nnx

from jaxaccel.nn._layout_of import layout_of
from jaxaccel.nn._parametrized import Parametrization, Parametrized

Layer = TypeVar("Layer", bound=nnx.Module)


def plain_parameter(module: nnx.Module, name: str) -> tuple[nnx.Variable[jax.Array], str]:
    """Return a module's variable, and its layout; raise if it has none to parametrize."""
    variable = getattr(module, name, None)
    if isinstance(variable, Parametrized):
        raise ValueError(
            f"Module '{type(module).__name__}' has a parametrization on {name}: "
            "remove_parametrizations first"
        )
    if not isinstance(variable, nnx.Variable):
        raise ValueError(
            f"Module '{type(module).__name__}' has no parameter or buffer with name '{name}'"
        )
    return variable, layout_of(module, name)


def parametrize(
    module: Layer, name: str, parametrization: Parametrization, originals: list[Any], layout: str
) -> Layer:
    """Let a module compute the parameter from the originals; return the module."""
    _replace(module, name, Parametrized(parametrization, originals, layout))
    return module


def remove_parametrizations(
    module: Layer, name: str = "weight", leave_parametrized: bool = True
) -> Layer:
    """Make a parametrized parameter a plain one again.

    Args:
        module: The layer, which is changed.
        name: The name of the parameter.
        leave_parametrized: Whether it keeps the value that was computed last; False gives back what
            it is computed from, where that is one array.

    Returns:
        ``module``.

    Raises:
        ValueError: nothing of that name is parametrized, or ``leave_parametrized=False`` for
            :func:`weight_norm`.

    PyTorch:
        ``torch.nn.utils.parametrize.remove_parametrizations``: the same; there ``name`` is
        ``tensor_name`` and has no default. In training, spectral norm goes one last round.

    Example:
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> layer = ja.nn.weight_norm(ja.nn.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> type(ja.nn.remove_parametrizations(layer).weight).__name__
        'Param'
    """
    parametrized = getattr(module, name, None)
    if not isinstance(parametrized, Parametrized):
        raise ValueError(
            f"Module {type(module).__name__} does not have a parametrization on {name}"
        )
    originals = parametrized.originals
    if len(originals) > 1 and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor "
            "that is parametrized in terms of a sequence of tensors."
        )
    variable = originals[-1]
    if leave_parametrized:
        variable[...] = parametrized[...]
    _replace(module, name, variable)
    return module


def _replace(module: nnx.Module, name: str, value: Any) -> None:
    """Set an attribute; it comes last among the module's, as in PyTorch."""
    delattr(module, name)
    setattr(module, name, value)
