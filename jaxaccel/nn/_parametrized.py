"""What stands in the place of a parameter that is computed from others."""

from __future__ import annotations

from typing import Any, Protocol

import jax
from flax import nnx


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

    def __init__(self, parametrization: Parametrization, originals: list[Any], layout: str) -> None:
        for index, variable in enumerate(originals):
            setattr(self, "original" if len(originals) == 1 else f"original{index}", variable)
        setattr(self, "0", parametrization)
        self.layout = layout
        self.torch_transposed = self._names() if layout == "flax" else ()

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
