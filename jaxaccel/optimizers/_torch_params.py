"""PyTorch's order of an optimizer's parameters, and the layouts in which it keeps their arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from jaxaccel._named_arrays import (
    NamedParameter,
    named_parameters,
    paths_of_variables,
    say_names,
)
from jaxaccel._selectors import paths_of
from jaxaccel._types import Params


class TorchParam(NamedTuple):
    """One parameter of PyTorch's optimizer."""

    name: str
    """The model's name for it, or where it is among the leaves: for texts."""
    leaf: int
    """The index of its leaf in the tree of parameters; -1: the tree does not have it."""
    layout: str
    """In which the leaf is kept: ``"flax"`` or ``"torch"``."""
    group: int
    """The index of our group that it belongs to."""
    named: NamedParameter | None = None
    """What the model says about it."""

    @property
    def is_trained(self) -> bool:
        """Whether the tree of parameters has it."""
        return self.leaf >= 0


def torch_params(
    params: Params, model: Any, owners: Callable[[Any], list[int]]
) -> list[TorchParam]:
    """Return the parameters in PyTorch's order, group by group, frozen ones among them.

    Args:
        params: The tree of the parameters that are trained.
        model: The model that has them, or None: then the leaves' order is PyTorch's.
        owners: Returns for every leaf of such a tree the index of its group.
    """
    if model is None:
        if isinstance(params, nnx.State):
            raise TypeError(
                "params is the state of a model, in which PyTorch has another order and other "
                "layouts; pass the model: model=..."
            )
        found = [
            TorchParam(f"parameter {leaf}", leaf, "torch", group)
            for leaf, group in enumerate(owners(params))
        ]
    else:
        found = _of_model(params, model, owners)
    return sorted(found, key=lambda param: param.group)


def _of_model(params: Params, model: Any, owners: Callable[[Any], list[int]]) -> list[TorchParam]:
    """Return a model's parameters in its own order."""
    if not isinstance(model, nnx.Module):
        raise TypeError(f"model must be a flax.nnx module, got {type(model).__name__}")
    named = named_parameters(model)
    index_of = {path: index for index, each in enumerate(named) for path in each.paths}
    leaves, groups = {}, {}
    params = _with_names(params, model)
    for leaf, (path, group) in enumerate(zip(paths_of(params), owners(params), strict=True)):
        if path not in index_of:
            raise ValueError(
                f"params has {path!r}, which is not a parameter of {type(model).__name__}; pass "
                "the model that params was split from; its parameters are "
                + ", ".join(each.paths[0] for each in named)
            )
        index = index_of[path]
        if index in leaves:
            raise ValueError(f"params has {named[index].name!r} twice, as {path!r} too")
        leaves[index], groups[index] = leaf, group
    if len(leaves) < len(named):
        groups = {**_groups_of_all(model, index_of, owners), **groups}
    return [
        TorchParam(each.name, leaves.get(index, -1), each.layout, groups[index], each)
        for index, each in enumerate(named)
    ]


def _groups_of_all(
    model: nnx.Module, index_of: Mapping[str, int], owners: Callable[[Any], list[int]]
) -> dict[int, int]:
    """Return the groups of all parameters of a model, by their index."""
    everything = _with_names(nnx.state(model, nnx.Param), model)
    try:
        groups = owners(everything)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "a group's params cannot say whether it has the parameters that are not trained: give "
            "a regular expression or a predicate instead of a mask, or pass trainable_only=True"
        ) from error
    return {index_of[path]: group for path, group in zip(paths_of(everything), groups, strict=True)}


def _with_names(params: Params, model: nnx.Module) -> Params:
    """Return parameters of which those that layers share say so, as a split model's do."""
    named = jax.tree.map(lambda leaf: leaf, params)
    say_names(named, paths_of_variables(model))
    return named


def trained(found: Sequence[TorchParam]) -> list[TorchParam]:
    """Return the parameters that the tree has."""
    return [param for param in found if param.is_trained]


def grouped(found: Sequence[TorchParam]) -> list[tuple[int, list[TorchParam]]]:
    """Return (group, members) of every group that has any, in PyTorch's order."""
    return [(group, list(own)) for group, own in groupby(found, key=lambda param: param.group)]


def by_index(
    found: Sequence[TorchParam], param_groups: Sequence[Mapping[str, Any]] | None
) -> dict[int, TorchParam]:
    """Return which parameter each index of PyTorch's state means.

    Args:
        found: All parameters in PyTorch's order.
        param_groups: PyTorch's groups, as they were given, those without members left out; None
            where only the state was.
    """
    own = trained(found)
    if param_groups is None:
        if len(own) < len(found):
            raise ValueError(
                f"{len(own)} of the model's {len(found)} parameters are trained, and the indices "
                "alone do not say whether PyTorch's optimizer had the others too; give the whole "
                'optimizer.state_dict(), with its "param_groups"'
            )
        return dict(enumerate(found))
    indices = [[_index(index) for index in group["params"]] for group in param_groups]
    named = _by_name(found, param_groups)
    for candidate in (named,) if named else (own, found):
        sizes = [len(members) for _, members in grouped(candidate)]
        if sizes == [len(each) for each in indices]:
            flat = [index for each in indices for index in each]
            if len(set(flat)) < len(flat):
                raise ValueError(f'"param_groups" has an index twice: {sorted(flat)}')
            return dict(zip(flat, candidate, strict=True))
    raise ValueError(_wrong_counts(own, found, [len(each) for each in indices]))


def _by_name(
    found: Sequence[TorchParam], param_groups: Sequence[Mapping[str, Any]]
) -> list[TorchParam] | None:
    """Return the parameters in the order of the names that PyTorch's groups have, if they do."""
    if not all("param_names" in group for group in param_groups) or found[0].named is None:
        return None
    known = {array.name: each for each in found if each.named for array in each.named.arrays}
    listed = []
    for (group, _), given in zip(grouped(found), param_groups, strict=False):
        for name in given["param_names"]:
            if name not in known:
                raise ValueError(
                    f'"param_names" has {name!r}, which is not a parameter of the model; rename '
                    'it, or drop "param_names" from the groups to go by their order. The model has '
                    + ", ".join(known)
                )
            if known[name].group != group:
                raise ValueError(
                    f"{name!r} is in group {group} there and in group {known[name].group} here"
                )
            listed.append(known[name])
    left = {each.name for each in trained(found)} - {each.name for each in listed}
    if left:
        raise ValueError(f'"param_names" lacks {", ".join(sorted(left))}, which params has')
    return listed


def _index(value: Any) -> int:
    """Return a member of a group, which must be an index."""
    if isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)):
        return int(value)
    raise TypeError(
        f'"params" of a group must be the indices that optimizer.state_dict() has, got {value!r}'
    )


def _wrong_counts(
    own: Sequence[TorchParam], found: Sequence[TorchParam], sizes: Sequence[int]
) -> str:
    """Return what is wrong with the numbers of parameters."""
    here = [len(members) for _, members in grouped(own)]
    text = f"PyTorch's groups have {_listed(sizes)} parameters, params has {_listed(here)}"
    if len(own) < len(found):
        everything = [len(members) for _, members in grouped(found)]
        text += f" (with those that are not trained {_listed(everything)})"
    return (
        f"{text}; make the groups here as they are there, in their order, over the same parameters"
    )


def _listed(sizes: Sequence[int]) -> str:
    """Return sizes of groups in words."""
    return " + ".join(map(str, sizes)) or "0"
