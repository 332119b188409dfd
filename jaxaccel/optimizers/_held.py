"""Hyperparameters as arrays in a state: written there, read back, replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checks import known_value
from jaxaccel._host_arrays import placed_like
from jaxaccel._math import Complement, one_minus, value_at
from jaxaccel._tree import initial_scalar
from jaxaccel._types import Number, Params


class Scheduled(NamedTuple):
    """A hyperparameter that a schedule writes."""

    value: Any
    """The scalar in force, maybe as a :class:`Complement`."""


def written(kinds: Mapping[str, Any], numbers: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Return a group's hyperparameters as the state first holds them, beside the parameters."""
    dtype = jax.dtypes.canonicalize_dtype(float)

    def place(number: Any) -> jax.Array:
        if isinstance(number, Tracer):
            return number.astype(dtype)
        return initial_scalar(params, dtype, number)

    return {name: _held(name, kinds[name], value, 0, place) for name, value in numbers.items()}


def rewritten(held: Mapping[str, Any], numbers: Mapping[str, Any], step: Any) -> dict[str, Any]:
    """Return a group's hyperparameters for the next update: what is scheduled is read anew."""

    def renew(name: str, old: Any, value: Any) -> Any:
        if type(old) is tuple:
            return tuple(renew(name, *pair) for pair in zip(old, value, strict=True))
        if not isinstance(old, Scheduled):
            return old
        decays = isinstance(old.value, Complement)
        dtype = jax.tree.leaves(old)[0].dtype
        return _held(name, Number(decays), value, step, lambda number: jnp.asarray(number, dtype))

    return {name: renew(name, old, numbers[name]) for name, old in held.items()}


def in_force(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the optimizer is given for a group's held hyperparameters."""

    def unscheduled(item: Any) -> Any:
        return item.value if isinstance(item, Scheduled) else item

    return {name: _map_values(unscheduled, value) for name, value in held.items()}


def _map_values(function: Callable[[Any], Any], held: Any) -> Any:
    """Apply a function to a hyperparameter, or to each of a tuple of them."""
    if type(held) is tuple:
        return tuple(_map_values(function, item) for item in held)
    return None if held is None else function(held)


def decoded(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers themselves: floats, or arrays under a trace and where each is many."""
    return {name: _map_values(_decoded, value) for name, value in held.items()}


def _decoded(held: Any) -> Any:
    """Return one number."""
    held = held.value if isinstance(held, Scheduled) else held
    array = held.one_minus if isinstance(held, Complement) else held
    number = array if isinstance(array, Tracer) or np.ndim(array) else float(array)
    return 1 - number if isinstance(held, Complement) else number


def replaced(group: str, old: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's hyperparameters with new numbers for those that are named."""
    unknown = sorted(set(values) - set(old))
    if unknown:
        raise ValueError(
            f"no hyperparameter {unknown[0]!r} in group {group!r}, which holds {sorted(old)} "
            "(switches, and a momentum that was the number 0, are fixed when the optimizer is made)"
        )
    new = {name: _replaced_one(name, old[name], value) for name, value in values.items()}
    return {**old, **new}


def _replaced_one(name: str, held: Any, value: Any) -> Any:
    """Return a new entry, in the old one's dtype and place."""
    if type(held) is tuple:
        if not isinstance(value, (tuple, list)) or len(value) != len(held):
            raise ValueError(f"{name} must be a tuple of {len(held)}, got {value!r}")
        return tuple(
            item if new is None else _replaced_one(f"{name}[{index}]", item, new)
            for index, (item, new) in enumerate(zip(held, value, strict=True))
        )
    if held is None or isinstance(held, Scheduled):
        reason = "has no number to change" if held is None else "is driven by a schedule"
        raise ValueError(
            f"{name} {reason}, got {value!r}; give param_groups a number to be able to set it"
        )
    if callable(value):
        raise TypeError(f"{name} must be a number or a scalar, not a schedule, got {value!r}")
    known_value(name, value)
    number = value_at(value, 0, name)
    if isinstance(held, Complement):
        return Complement(_placed_like(held.one_minus, one_minus(number)))
    return _placed_like(held, number)


def _held(name: str, kind: Any, value: Any, step: Any, place: Callable[[Any], jax.Array]) -> Any:
    """Return a hyperparameter as the state holds it, its scalars made by ``place``."""
    if isinstance(value, (tuple, list)):
        kinds = kind if type(kind) is tuple else [kind] * len(value)
        pairs = zip(kinds, value, strict=True)
        return tuple(_held(name, own, item, step, place) for own, item in pairs)
    if value is None:
        return None
    number = value_at(value, step, name)
    held = Complement(place(one_minus(number))) if kind.decays else place(number)
    return Scheduled(held) if callable(value) else held


def _placed_like(old: Any, number: Any) -> Any:
    """Return a number as a scalar with another's dtype and sharding."""
    if not isinstance(old, jax.Array):
        return number  # a Python number that somebody wrote into optax's dictionary
    if isinstance(old, Tracer) or isinstance(number, Tracer):
        return jnp.full_like(old, number)
    return placed_like(old, np.full(old.shape, number, old.dtype))


def restored(held: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a group's hyperparameters with other numbers in force, of schedules too."""
    return {**held, **{name: _restored_one(name, held[name], values[name]) for name in values}}


def _restored_one(name: str, held: Any, value: Any) -> Any:
    """Return a new entry, in the old one's dtype and place; a schedule's stays one."""
    if type(held) is tuple:
        if not isinstance(value, (tuple, list)) or len(value) != len(held):
            raise ValueError(f"{name} must be a tuple of {len(held)}, got {value!r}")
        return tuple(
            _restored_one(f"{name}[{index}]", *pair)
            for index, pair in enumerate(zip(held, value, strict=True))
        )
    if held is None or value is None:
        if held is not None or value is not None:
            raise ValueError(f"{name} is {value!r}, expected {_decoded(held) if held else None}")
        return None
    if isinstance(held, Scheduled):
        return Scheduled(_restored_one(name, held.value, value))
    if isinstance(held, Complement):
        return Complement(_placed_like(held.one_minus, one_minus(value)))
    return _placed_like(held, value)


def scheduled(held: Any) -> bool:
    """Return whether a schedule writes a hyperparameter, or one of a tuple of them."""
    return isinstance(held, Scheduled) or (type(held) is tuple and any(map(scheduled, held)))
