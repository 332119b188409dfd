"""A model's arrays in PyTorch's order: its names for them, their layouts, which are parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxaccel._layout import check_layout, shape_in_torch
from jaxaccel._stacked import check_kernel_axes
from jaxaccel._tree import path_name

_LEFT_OUT = (nnx.RngState, nnx.Cache, nnx.Intermediate)
"""Variables that are not a model's numbers: what draws, and what a call leaves behind."""


NAMES = "all_paths"
"""The metadata in which a variable that layers share says its paths, PyTorch's first."""


class NamedArray(NamedTuple):
    """One name of one array of a model; arrays that several layers share have several."""

    name: str
    """PyTorch's: ``"layer1.0.conv1.parametrizations.weight.original0"``."""
    path: str
    """flax's, in which a tree of parameters has it: ``"layer1.0.conv1.weight.original0"``."""
    variable: nnx.Variable[jax.Array]
    layout: str
    """In which the variable keeps the array: ``"flax"`` or ``"torch"``."""
    owner: nnx.Module
    """The module that has it under this name."""
    layer: int | None = None
    """Which of the layers whose arrays the variable stacks has it; None where it is one array."""

    @property
    def is_parameter(self) -> bool:
        """Whether PyTorch has it as a parameter and not as a buffer."""
        return isinstance(self.variable, nnx.Param)

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """The shape in PyTorch's layout."""
        shape = self.variable.shape
        return shape_in_torch(shape if self.layer is None else shape[1:], self.layout)

    def part_of(self, value: Any) -> Any:
        """Return what it is of the variable's whole value."""
        return value if self.layer is None else value[self.layer]


class NamedParameter(NamedTuple):
    """One parameter of a model under all its names, the first of them first."""

    arrays: tuple[NamedArray, ...]

    @property
    def name(self) -> str:
        """PyTorch's name in ``named_parameters()``."""
        return self.arrays[0].name

    @property
    def layout(self) -> str:
        """In which its variable keeps the array: ``"flax"`` or ``"torch"``."""
        return self.arrays[0].layout

    @property
    def paths(self) -> tuple[str, ...]:
        """Its paths, in one of which a tree of parameters has it."""
        return tuple(array.path for array in self.arrays)


def named_arrays(
    module: nnx.Module, name: str = "", path: str = "", *, is_stack: bool = False
) -> Iterator[NamedArray]:
    """Walk a model as PyTorch does: own arrays first, parameters before buffers, then children.

    A class whose module stands for a list of layers says in ``torch_stacked`` the attribute under
    which it has one layer with the arrays of all, and has as many names as there are layers.

    Args:
        module: The model.
        name: What stands before its names, with the dot.
        path: What stands before its paths, with the dot.
        is_stack: Whether its arrays' first axis counts layers.

    Raises:
        TypeError: a variable holds something else than an array, or a module does not say in which
            layout it keeps one.
        ValueError: a kernel has more axes than its layer gives it: the layer is a stack of several.
    """
    if (attribute := getattr(module, "torch_stacked", None)) is not None:
        stack: Any = module
        one = getattr(module, attribute)
        arrays = list(named_arrays(one, "", f"{path}{attribute}.", is_stack=True))
        for index in range(len(stack)):
            yield from (a._replace(name=f"{name}{index}.{a.name}", layer=index) for a in arrays)
        return
    attributes = {each: getattr(module, each) for each in _attributes(module)}
    variables = {
        each: value
        for each, value in attributes.items()
        if isinstance(value, nnx.Variable) and not isinstance(value, _LEFT_OUT)
    }
    for own in sorted(variables, key=lambda each: not isinstance(variables[each], nnx.Param)):
        variable, value = variables[own], variables[own].get_value()
        if not isinstance(value, (jax.Array, jax.ShapeDtypeStruct, np.ndarray, np.generic)):
            raise TypeError(
                f"{name}{own} ({type(variable).__name__}) holds a {type(value).__name__}: give it "
                "an array, or make it an nnx.Cache, which is left out"
            )
        layout = layout_of(module, own)
        if layout == "flax":
            check_kernel_axes(module, name + own, variable, is_stack)
        yield NamedArray(name + own, path + own, variable, layout, module)
    for own, value in attributes.items():
        if isinstance(value, nnx.Module):
            above = getattr(value, "torch_name_above", "")
            names = f"{name}{above}{own}.", f"{path}{own}."
            yield from named_arrays(value, *names, is_stack=is_stack)


def named_parameters(model: nnx.Module) -> list[NamedParameter]:
    """Return a model's parameters as ``named_parameters()`` does: what is shared comes once."""
    found: dict[int, list[NamedArray]] = {}
    for array in named_arrays(model):
        if array.layer is not None:
            raise ValueError(
                f"{array.name} is one of the layers that {array.path} stacks: PyTorch's optimizer "
                "has a parameter for each. Take states to it from a model whose layers are not "
                "stacked"
            )
        if array.is_parameter:
            found.setdefault(id(array.variable), []).append(array)
    return [NamedParameter(tuple(arrays)) for arrays in found.values()]


def paths_of_variables(model: nnx.Module) -> dict[str, tuple[str, ...]]:
    """Return for each path of a variable all paths of it: several where layers share it.

    PyTorch's own comes first, the only one in its ``named_parameters()``.

    Raises:
        TypeError: a module would read a shared array in another layout than it is kept in.
        ValueError: a weight that is computed from several arrays shares one with another layer.
    """
    found: dict[int, list[tuple[str, nnx.Module]]] = {}
    _collect(model, "", found, set())
    for owners in found.values():
        for path, module in owners if len(owners) > 1 else ():
            _check_says(module, path)
            # What computes from several arrays has parameters of its own in PyTorch.
            if hasattr(module, "original1"):
                raise ValueError(
                    f"{path} is shared with {', '.join(p for p, _ in owners if p != path)}: "
                    "weight_norm gives a layer parameters of its own, so apply it before the "
                    "weights are tied, or to none of them"
                )
    every = [tuple(path for path, _ in owners) for owners in found.values()]
    return {path: paths for paths in every for path in paths}


def say_names(tree: Any, names: Mapping[str, tuple[str, ...]]) -> None:
    """Let the variables of a tree that layers share say all their paths, of which it has one.

    Args:
        tree: A tree that holds variables, which are changed; all of one of a model.
        names: What :func:`paths_of_variables` of the model returns; empty for no names.
    """
    for path, variable in jax.tree.leaves_with_path(tree, is_leaf=_is_variable):
        if not _is_variable(variable):
            continue
        own = names.get(path_name(path), ())
        if len(own) > 1 or variable.has_metadata(NAMES):
            others = {n: v for n, v in variable.get_metadata().items() if n != NAMES}
            variable.set_metadata(others | {NAMES: own} if len(own) > 1 else others)


def named_as(params: Any, like: Any) -> Any:
    """Return parameters whose variables say their names where those of their state do.

    What says more is another tree to JAX, and parameters come with and without names.
    """
    variables = filter(_is_variable, jax.tree.leaves(like, is_leaf=_is_variable))
    every = [variable.get_metadata().get(NAMES, ()) for variable in variables]
    named = jax.tree.map(lambda leaf: leaf, params)
    say_names(named, {path: paths for paths in every for path in paths})
    return named


def _is_variable(node: Any) -> bool:
    """Return whether a node of a tree is one of flax's variables."""
    return isinstance(node, nnx.Variable)


def _check_says(module: nnx.Module, path: str) -> None:
    """Raise for a class that shares a kernel of ours and does not say how it reads it."""
    name = path.rpartition(".")[2]
    variable = getattr(module, name)
    if "layout" in variable.get_metadata() and variable.ndim > 1:
        layout_in_class(module, name)


def _collect(
    module: nnx.Module, path: str, found: dict[int, list[tuple[str, nnx.Module]]], seen: set[int]
) -> None:
    """Collect who holds each variable of a model, whatever its layers are."""
    if id(module) in seen:
        return
    seen.add(id(module))
    attributes = [(name, getattr(module, name)) for name in _attributes(module)]
    # As in PyTorch, a module's own come before those of the modules in it.
    for name, value in attributes:
        if isinstance(value, nnx.Variable):
            found.setdefault(id(value), []).append((path + name, module))
            if hasattr(module, "torch_transposed"):
                layout_of(module, name)
    for name, value in attributes:
        if isinstance(value, nnx.Module):
            _collect(value, f"{path}{name}.", found, seen)


def layout_of(module: nnx.Module, name: str) -> str:
    """Return the layout in which a module's variable keeps its array: ``"flax"`` or ``"torch"``.

    The variable's own metadata ``layout`` says it, where it has one: a variable that two layers
    share is kept in one layout. Else the class of the module says it in ``torch_transposed``.

    Raises:
        TypeError: neither says it.
    """
    variable = getattr(module, name, None)
    own = variable.get_metadata().get("layout") if isinstance(variable, nnx.Variable) else None
    if own is None:
        return layout_in_class(module, name)
    says = isinstance(module, (nnx.List, nnx.Dict)) or hasattr(module, "torch_transposed")
    read = layout_in_class(module, name) if says else None
    if own != read:
        check_layout(own)
        if read is not None:
            _check_reader(module, name, own, read)
    return own


def _check_reader(module: nnx.Module, name: str, kept: str, read: str) -> None:
    """Raise where a module would read a variable in another layout than it is kept in."""
    kind = type(module).__name__
    if _reads_any_layout(type(module)) or getattr(module, name).ndim < 2:
        return
    axes = {"flax": "(*k, I, O), flax's", "torch": "(O, I, *k), PyTorch's"}
    names = {"flax": f"({name!r},)", "torch": "()"}
    raise TypeError(
        f"{kind} reads {name!r} as {axes[read]} layout, and the array, which it shares with the "
        f"layer that made it, is kept as {axes[kept]}: let {kind} read it so, with "
        f"torch_transposed = {names[kept]}, or share it between layers of jaxaccel.nn, which read "
        "both"
    )


def _reads_any_layout(kind: type) -> bool:
    """Return whether the class that a module's call is written in says that it reads both."""
    for each in kind.__mro__:
        if "reads_any_layout" in vars(each) or "__call__" in vars(each):
            return vars(each).get("reads_any_layout", False)
    return False


def layout_in_class(module: nnx.Module, name: str) -> str:
    """Return the layout in which a module reads one of its variables: its class says it."""
    if isinstance(module, (nnx.List, nnx.Dict)):
        return "torch"  # of parameters, as torch.nn.ParameterList
    names, kind = getattr(module, "torch_transposed", None), type(module).__name__
    if names is None:
        raise TypeError(
            f"{kind} holds {name!r} and does not say whether PyTorch keeps it transposed: write "
            f"torch_transposed = ({name!r},) into the class {kind} if it is a kernel (*k, I, O), "
            "and torch_transposed = () if not; in the place of one of flax's own layers use "
            "jaxaccel.nn's"
        )
    missing = [each for each in names if not hasattr(module, each)]
    if isinstance(names, str) or missing:
        raise TypeError(
            f"torch_transposed of {kind} must be a tuple of names of its attributes, as "
            f"({name!r},) or (), but got {names!r}"
        )
    return "flax" if name in names else "torch"


def _attributes(module: nnx.Module) -> list[str]:
    """Return the names of a module's attributes, in the order of their first assignment."""
    if isinstance(module, nnx.List):
        return [str(index) for index in range(len(module))]
    # Splitting and merging sorts the attributes by name. This mapping of flax's, from names to
    # whether they are data, is made as they are assigned and goes through as it is.
    first = [name for name in module._pytree__nodes if name in vars(module)]
    return [*first, *(name for name in vars(module) if name not in module._pytree__nodes)]
