"""One optimizer's state with the entries that PyTorch's state has for its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxaccel._host_arrays import cast, host_array
from jaxaccel._layout import from_torch, shape_in_torch
from jaxaccel.optimizers._state_dict import slots_of, torch_names
from jaxaccel.optimizers._torch_fields import TorchFields
from jaxaccel.optimizers._torch_params import TorchParam
from jaxaccel.optimizers._torch_units import loaded_like


def loaded(
    state: Any,
    fields: TorchFields,
    treedef: Any,
    entries: Mapping[int, tuple[TorchParam, Mapping[str, Any]]],
    step: int | None,
) -> Any:
    """Return one optimizer's state with its parameters' entries."""
    counts = (*fields.shared, *fields.shared_integers)
    own_step = "step" in getattr(state, "_fields", ()) and "step" not in counts
    if own_step:
        if step == 0 and entries:
            raise ValueError(
                "step is 0, but state_dict has entries, which an optimizer has after its first "
                "update; give the number of finished updates"
            )
        given = {param.leaf: step for param, _ in entries.values()}
        state = with_step(state, step, given, treedef)
    slots = slots_of(state, fields, treedef)
    _check_keys(entries, counts, slots)
    numbers = {name: _numbers(name, state, entries, treedef) for name in counts if entries}
    for index, (param, entry) in entries.items():
        own = {name: leaves[param.leaf] for name, leaves in slots.items()}
        names = torch_names(fields, own, param)
        for name, old in own.items():
            if old is not None:
                there = names[name]
                slots[name][param.leaf] = _array(there, index, param, old, entry[there])
    old = {name: treedef.flatten_up_to(getattr(state, name)) for name in slots}
    trees = {
        name: treedef.unflatten(
            was if leaf is None else leaf for leaf, was in zip(leaves, old[name], strict=True)
        )
        for name, leaves in slots.items()
    }
    return state._replace(**numbers, **trees)


def _array(name: str, index: int, param: TorchParam, old: Any, value: Any) -> jax.Array:
    """Return an entry's array in our layout, dtype and place."""
    place = f"{name} of parameter {index}"
    if param.named is not None:
        place += f" ({param.name})"
    array, expected = host_array(place, value), shape_in_torch(np.shape(old), param.layout)
    if array.shape != expected:
        raise ValueError(f"{place} has shape {array.shape}, expected {expected}")
    return loaded_like(place, old, from_torch(array, param.layout))


def _check_keys(entries: Mapping[int, Any], counts: Any, slots: dict[str, list[Any]]) -> None:
    """Raise unless every entry has just the keys that its parameter has here."""
    for index, (param, entry) in entries.items():
        own = {name for name, leaves in slots.items() if leaves[param.leaf] is not None}
        expected = {*counts, *own}
        found = {name for name, value in entry.items() if value is not None}
        if found != expected:
            raise ValueError(
                f"state_dict[{index}] has the keys {sorted(map(str, found))}, expected "
                f"{sorted(expected)}; make the optimizer that PyTorch's state is of, with the "
                "arguments that PyTorch's had"
            )


def _numbers(name: str, state: Any, entries: Mapping[int, Any], treedef: Any) -> Any:
    """Return a number that PyTorch keeps with every parameter: one, or each parameter's own."""
    old = getattr(state, name)
    given = {
        param.leaf: _number(f"{name} of parameter {index}", name, entry[name])
        for index, (param, entry) in entries.items()
    }
    if hasattr(old, "of_leaves"):
        return _with_leaves(name, old, given, treedef)
    if len(values := sorted(set(map(float, given.values())))) > 1:
        raise ValueError(
            f"parameters have different {name} ({values}), and one {name} is kept for all; wrap "
            "the optimizer in count_per_parameter, which keeps one for each"
        )
    return loaded_like(name, old, np.asarray(next(iter(given.values()))))


def _with_leaves(name: str, old: Any, given: Mapping[Any, Any], treedef: Any) -> Any:
    """Return numbers by parameter with those that were given."""
    leaves = treedef.flatten_up_to(old.of_leaves)
    new = [
        loaded_like(name, was, np.asarray(given[leaf])) if leaf in given else was
        for leaf, was in enumerate(leaves)
    ]
    return old._replace(of_leaves=treedef.unflatten(new))


def with_step(state: Any, step: int | None, given: Any = None, treedef: Any = None) -> Any:
    """Return a state with the number of finished updates, where PyTorch keeps none."""
    if step is None:
        raise ValueError(
            f"step must be given for {type(state).__name__}: PyTorch's state does not hold the "
            "number of finished updates"
        )
    if hasattr(state.step, "of_leaves"):
        return state._replace(step=_with_leaves("step", state.step, given, treedef))
    return state._replace(step=loaded_like("step", state.step, np.asarray(step)))


def _number(place: str, name: str, value: Any) -> Any:
    """Return one number of an entry."""
    if name == "step":
        return count(place, value)
    array = host_array(place, value)
    if array.dtype == bool:
        raise TypeError(f"{place} must be a number, got {value!r:.60}")
    if array.size != 1 or not np.isfinite(array.astype(float)).all():
        raise ValueError(f"{place} must be one finite number, got {value!r}")
    return array.reshape(()).item()


def count(place: str, value: Any) -> int:
    """Return a number of finished updates."""
    array = host_array(place, value)
    if array.dtype == bool:
        raise TypeError(f"{place} must be a number, got {value!r:.60}")
    if array.size != 1:
        raise ValueError(f"{place} must be one number, got an array of shape {array.shape}")
    number = int(cast(place, array.reshape(()), np.int32))
    if number < 0:
        raise ValueError(f"{place} must not be negative, got {number}")
    return number
