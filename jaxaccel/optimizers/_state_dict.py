"""Every optimizer's state as ``torch.optim.X.state_dict()`` has it: the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax

from jaxaccel._checked import checked_after
from jaxaccel._host_arrays import host_array
from jaxaccel._layout import shape_in_torch, to_torch
from jaxaccel._named_arrays import named_as
from jaxaccel._packed import unpacked
from jaxaccel._tree import is_none
from jaxaccel._types import Params, State
from jaxaccel.optimizers._torch_fields import FlatFields, TorchFields
from jaxaccel.optimizers._torch_flat import flat_order, flat_state_dict
from jaxaccel.optimizers._torch_groups import Calls, calls_of, exact, torch_group
from jaxaccel.optimizers._torch_params import TorchParam, grouped, torch_params, trained
from jaxaccel.optimizers._torch_units import Units, own_params, units_of


@checked_after
def state_dict(
    state: State,
    params: Params,
    *,
    model: Any = None,
    tx: Any = None,
    trainable_only: bool = False,
) -> dict[str, Any]:
    """Return an optimizer's state as PyTorch keeps it: by parameter, under PyTorch's keys.

    Args:
        state: The state of an optimizer that PyTorch has too, or your own if its class has
            :class:`TorchFields`; by itself, as the groups of :func:`param_groups`, or inside
            ``optax.chain``, :func:`lookahead`, ``transforms.accumulate_gradients`` and the like,
            whose own arrays PyTorch does not have.
        params: The parameters, or anything of their structure.
        model: The flax.nnx model whose parameters they are, all of them or those that are trained
            (``training.split_model``): it says in which order and which layouts PyTorch has them.
            Without it the index counts the leaves of ``params``, whose arrays stay as they are.
        tx: The transformation that made the state, for ``"param_groups"``: it knows the
            hyperparameters and the groups. Of an ``optax.chain``, the optimizer in it.
        trainable_only: Whether PyTorch's optimizer is made with the parameters that are trained,
            and not with all of the model's.

    Returns:
        ``{"state": {index: {key: value}}}`` and, with ``tx``, ``"param_groups"``: a list of
        dictionaries with all of PyTorch's keys, schedules read at the state's step. Arrays are
        NumPy copies on the host in the leaves' dtype; a count or a number that PyTorch holds as a
        tensor is a float32 scalar. LBFGS has everything at index 0, lists and Python numbers among
        it. Indices count group by group.

    Raises:
        TypeError: The class of ``state`` does not say what PyTorch keeps of it (see
            :class:`TorchFields`), ``tx`` did not make it or does not say how it was made, or
            ``params`` is a model's state and ``model`` is missing.
        ValueError: ``state`` holds several optimizers, or ``params`` are not the model's.

    PyTorch:
        ``optimizer.state_dict()``, with arrays for tensors: make tensors of them, and
        ``optimizer.load_state_dict`` of an optimizer over ``model.parameters()`` takes it. A
        parameter without gradient has an entry here (zeros) and none there; before the first step
        SGD and Muon have none on both sides.

    Example:
        >>> from flax import nnx
        >>> import jax
        >>> import jaxaccel as ja
        >>> model = ja.nn.Linear(3, 2, rngs=nnx.Rngs(0))
        >>> _, params, _ = ja.training.split_model(model)
        >>> tx = ja.optimizers.adamw(lr=0.1)
        >>> _, state = tx.update(params, tx.init(params), params)
        >>> found = ja.optimizers.state_dict(state, params, model=model, tx=tx)
        >>> print(found["state"][0]["step"], found["state"][0]["exp_avg"].shape)
        1.0 (2, 3)
        >>> print(found["param_groups"][0]["lr"], found["param_groups"][0]["params"])
        0.1 [0, 1]
    """
    state, params = unpacked(state, "state"), named_as(unpacked(params, "params"), state)
    units = units_of(state)
    params = own_params(units, params)
    calls = None if tx is None else calls_of(tx, units, state, params)
    everything = torch_params(params, model, owners(units, calls))
    check_layouts_agree(calls, everything, units.fields)
    found = trained(everything) if trainable_only else everything
    if isinstance(units.fields, FlatFields):
        only = units.states[0]
        entries = (
            {0: flat_state_dict(only, units.fields, flat_order(found))} if only.n_iter > 0 else {}
        )
    else:
        treedef = jax.tree.structure(params, is_leaf=is_none)
        of_leaves = {}
        for group, inner in enumerate(units.states):
            own = [param for param in trained(found) if param.group == group]
            of_leaves |= _entries(inner, units.fields, treedef, own)
        entries = {i: of_leaves[p.leaf] for i, p in enumerate(found) if p.leaf in of_leaves}
    if calls is None:
        return {"state": entries}
    empty = set(range(len(calls.selectors))) - {param.group for param in everything}
    return {"state": entries, "param_groups": _groups(units, calls, found, empty)}


def owners(units: Units, calls: Calls | None) -> Any:
    """Return the function from a tree to the group of every leaf."""
    if calls is not None:
        return calls.owners
    if len(units.states) > 1:
        raise TypeError(
            "the state has several groups of parameters, and only the transformation knows which "
            "parameters each has: pass tx=..."
        )
    return lambda tree: [0] * len(jax.tree.leaves(tree, is_leaf=is_none))


def check_layouts_agree(
    calls: Calls | None, found: Sequence[TorchParam], fields: TorchFields | FlatFields
) -> None:
    """Raise when an optimizer was told another layout of kernels than the model has."""
    if calls is None:
        return
    # Of a matrix that is factored, either layout has the same numbers.
    fewest = 3 if isinstance(fields, TorchFields) and fields.factors else 2
    for group, members in grouped(trained(found)):
        layout = calls.of_group(group).get("layout")
        for param in members if layout is not None else []:
            if param.named is None or len(param.named.arrays[0].torch_shape) < fewest:
                continue
            told = layout(param.named.paths[0]) if callable(layout) else layout
            if told != param.layout:
                raise ValueError(
                    f"{param.name} is kept in the layout {param.layout!r}, but the optimizer was "
                    f"made with layout={told!r} for it, and so has other numbers than PyTorch; "
                    "give it layout=, a function from a path to a layout"
                )


def slots_of(state: Any, fields: TorchFields, treedef: Any) -> dict[str, list[Any]]:
    """Return the leaves of every slot in use, one a parameter (``None``: it has no such key)."""
    in_use = {name: getattr(state, name) for name in fields.per_parameter}
    return {name: leaves_of(tree, treedef) for name, tree in in_use.items() if tree is not None}


def torch_names(fields: TorchFields, own: Mapping[str, Any], param: TorchParam) -> dict[str, str]:
    """Return PyTorch's name for each array of a parameter: of two factors perhaps the other's."""
    names = {name: name for name in own}
    if fields.factors and all(own.get(name) is not None for name in fields.factors):
        rows, columns = fields.factors
        shapes = [shape_in_torch(np.shape(own[name]), param.layout) for name in fields.factors]
        if len(shapes[0]) == 2 and (shapes[0][-1] != 1 or shapes[1][-2] != 1):
            names |= {rows: columns, columns: rows}
    return names


def leaves_of(tree: Any, treedef: Any) -> list[Any]:
    """Return one leaf a parameter; ``None`` where another group has it."""
    leaves = treedef.flatten_up_to(tree)
    return [None if isinstance(leaf, optax.MaskedNode) else leaf for leaf in leaves]


def counts_of(value: Any, treedef: Any) -> list[Any]:
    """Return a number for every parameter: its own, or the one for all."""
    if hasattr(value, "of_leaves"):
        return leaves_of(value.of_leaves, treedef)
    return [value] * treedef.num_leaves


def _entries(
    state: Any, fields: TorchFields, treedef: Any, found: Sequence[TorchParam]
) -> dict[int, dict[str, Any]]:
    """Return what PyTorch keeps of one optimizer's state, by leaf."""
    slots = slots_of(state, fields, treedef)
    shared = {
        name: counts_of(getattr(state, name), treedef)
        for name in (*fields.shared, *fields.shared_integers)
    }
    steps = counts_of(getattr(state, "step", None), treedef)
    entries = {}
    for param in found:
        leaf: Any = param.leaf
        own = {name: leaves[leaf] for name, leaves in slots.items() if leaves[leaf] is not None}
        began = "step" in shared or steps[leaf] is None or int(steps[leaf]) > 0
        if (slots and not own) or not began:
            continue
        entry: dict[str, Any] = {}
        for name, values in shared.items():
            number = np.asarray(host_array(name, values[leaf]))
            entry[name] = (
                int(number) if name in fields.shared_integers else number.astype(np.float32)
            )
        names = torch_names(fields, own, param)
        for name, value in own.items():
            array = host_array(f"{name} of {param.name}", value)
            array = to_torch(array) if param.layout == "flax" else array
            entry[names[name]] = np.array(array, order="C")
        if entry:
            entries[leaf] = entry
    return entries


def _groups(
    units: Units, calls: Calls, found: Sequence[TorchParam], empty: set[int]
) -> list[dict[str, Any]]:
    """Return PyTorch's groups, with the numbers that the state holds; some have no members."""
    listed, first, step = [], 0, units.schedule_step()
    members_of = dict(grouped(found))
    for group in sorted({*members_of, *empty}):
        members = members_of.get(group, [])
        nominal = torch_group(calls.of_group(group), units.fields, step)
        if units.groups is not None:
            held = torch_group(
                calls.of_group(group, units.groups.hyperparams[group]), units.fields, step
            )
            nominal = {name: exact(nominal[name], value) for name, value in held.items()}
        indices = list(range(first, first + len(members)))
        listed.append({**nominal, "params": indices})
        first += len(members)
    return listed
