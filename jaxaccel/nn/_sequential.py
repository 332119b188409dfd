"""The sequential container."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, overload

from flax import nnx

from jaxaccel._checked import checked_but


class Sequential(nnx.Module):
    """Call layers one after the other, each with what the one before it returned.

    The layers are attributes named ``"0"``, ``"1"``, ... or by the keys of a mapping, so that
    :func:`state_dict` has PyTorch's ``"0.weight"``. ``len``, iteration, an index and a slice (a
    ``Sequential`` of the same layers under the same names) work as on a list.

    Args:
        args: Layers, or any functions of one argument (``jax.nn.relu``); or one mapping of names to
            them, in its order.

    Raises:
        TypeError: something cannot be called, or a name is not a string.
        ValueError: a name that cannot be an attribute's, or is one of every module's already.
        IndexError: an index is out of range.

    PyTorch:
        ``torch.nn.Sequential``: the same names and order. PyTorch takes modules only, an
        ``OrderedDict`` and no plain ``dict``, and raises ``KeyError`` for names. A name that begins
        with an underscore raises here (flax has attributes of that kind). Left out:
        changing the list of layers afterwards.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> import jaxaccel as ja
        >>> rngs = nnx.Rngs(0)
        >>> model = ja.nn.Sequential(
        ...     ja.nn.Linear(4, 8, rngs=rngs), jax.nn.relu, ja.nn.Linear(8, 2, rngs=rngs)
        ... )
        >>> list(ja.nn.state_dict(model)), model(jnp.ones((3, 4), jnp.float32)).shape
        (['0.weight', '0.bias', '2.weight', '2.bias'], (3, 2))
    """

    @checked_but("args")
    def __init__(self, *args: Callable[..., Any] | Mapping[str, Callable[..., Any]]):
        if len(args) == 1 and isinstance(args[0], Mapping):
            layers: dict[str, Any] = dict(args[0])
        else:
            layers = {str(index): layer for index, layer in enumerate(args)}
        for name, layer in layers.items():
            self._check(name, layer)
            setattr(self, name, layer)
        self._names = tuple(layers)

    def __call__(self, input: Any) -> Any:
        """Return what the last layer returns; the input where there is none."""
        for layer in self:
            input = layer(input)
        return input

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return (getattr(self, name) for name in self._names)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> Sequential: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential({name: getattr(self, name) for name in self._names[index]})
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        return getattr(self, self._names[index])

    def _check(self, name: Any, layer: Any) -> None:
        """Raise for a name or a layer that cannot be, with PyTorch's texts."""
        kind = layer if inspect.isclass(layer) else type(layer)
        if kind.__module__.partition(".")[0] == "torch":
            raise TypeError(
                f"{kind.__name__} is a layer of PyTorch, got {layer!r:.80} as {name!r}; "
                f"jaxaccel.nn has the layers of this library"
            )
        if inspect.isclass(layer) and issubclass(layer, nnx.Module):
            raise TypeError(
                f"{layer.__name__} is not a layer but the class of one, got it as {name!r}; call "
                f"it: {layer.__name__}(...)"
            )
        if not callable(layer):
            raise TypeError(f"{type(layer).__name__} is not a layer or another callable")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {type(name).__name__}")
        if hasattr(self, name):
            raise ValueError(f"attribute '{name}' already exists")
        if "." in name:
            raise ValueError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise ValueError('module name can\'t be empty string ""')
        if name.startswith("_"):
            raise ValueError(f"module name can't begin with an underscore, got: {name}")
