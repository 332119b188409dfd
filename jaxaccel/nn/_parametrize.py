"""Put a computed parameter in the place of a plain one, and back."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import jax
from flax import nnx

from jaxaccel._checked import checked
from jaxaccel._named_arrays import layout_of

Layer = TypeVar("Layer", bound=nnx.Module)


class Parametrization(Protocol):
    """A module that computes a parameter."""

    def __call__(self, *originals: jax.Array, layout: str) -> jax.Array:
        """Return the parameter, in the layout of the originals."""
        ...


class Parametrized(nnx.Module):
    """A parameter that is computed whenever it is read.

    To a layer it reads like the ``nnx.Param`` in whose place it is: ``layer.weight[...]``. Its
    variables have PyTorch's names below ``parametrizations.weight``: ``original``, or ``original0``
    and ``original1``, and those of the parametrization after ``0.``.
    """

    torch_name_above = "parametrizations."
    """What PyTorch's names have before the attribute's."""

    @property
    def torch_older_suffixes(self) -> dict[str, str]:
        """How older versions of PyTorch named the originals: after the name of the parameter."""
        return getattr(getattr(self, "0"), "torch_older_originals", {})

    def __init__(self, parametrization: Parametrization, originals: list[Any], layout: str) -> None:
        for index, variable in enumerate(originals):
            setattr(self, "original" if len(originals) == 1 else f"original{index}", variable)
        setattr(self, "0", parametrization)
        self.layout = layout
        self.torch_transposed = self._names() if layout == "flax" else ()
        self.kernel_axes = self.ndim

    @property
    def originals(self) -> list[Any]:
        """The variables that training moves."""
        return [getattr(self, name) for name in self._names()]

    def _names(self) -> tuple[str, ...]:
        """Return the names of the originals."""
        return tuple(sorted(name for name in vars(self) if name.startswith("original")))

    @property
    def shape(self) -> tuple[int, ...]:
        """The parameter's shape."""
        return self.originals[-1].shape

    @property
    def ndim(self) -> int:
        """The parameter's number of axes."""
        return len(self.shape)

    @property
    def dtype(self) -> Any:
        """The parameter's dtype."""
        return self.originals[-1].dtype

    def __getitem__(self, index: Any) -> jax.Array:
        """Compute the parameter."""
        parametrization: Parametrization = getattr(self, "0")
        value = parametrization(*(v[...] for v in self.originals), layout=self.layout)
        return value if index is Ellipsis else value[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Refuse: what is computed cannot be set."""
        raise TypeError(
            "a parametrized parameter cannot be assigned to: remove_parametrizations, assign, and "
            "parametrize again"
        )


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


@checked
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
