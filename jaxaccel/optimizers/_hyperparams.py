"""Hyperparameters as arrays in the state: written there, read back, changed between steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxaccel._checks import known_value
from jaxaccel._math import Complement, one_minus, value_at
from jaxaccel._tree import initial_scalar
from jaxaccel._types import Params, State

DECAY_FACTORS = frozenset({"betas", "beta", "alpha", "rho", "momentum"})
"""Arguments that are kept as ``1 - value``: near 1 an array would lose the digits that count."""


class Scheduled(NamedTuple):
    """A hyperparameter that a schedule writes."""

    value: Any
    """The scalar in force, maybe as a :class:`Complement`."""


class ParamGroupsState(NamedTuple):
    """State of :func:`param_groups`."""

    step: jax.Array
    """int32 scalar: finished updates, which the schedules are read at."""
    hyperparams: tuple[dict[str, Any], ...]
    """Per group the numbers that the next update uses, scalars of JAX's default float."""
    inner_states: tuple[State, ...]
    """Per group the optimizer's own state, over the parameters of that group."""


def get_hyperparams(state: State) -> tuple[dict[str, Any], ...]:
    """Return the hyperparameters that the next update uses, one dictionary a group.

    Args:
        state: The state of :func:`param_groups`, or any pytree that holds one such state (that of
            an ``optax.chain``, a train state).

    Returns:
        Per group, the default group last: {name: Python float, or a tuple of them}. A scheduled
        one has its schedule's value. Under a trace JAX scalars stand for the floats.

    Raises:
        ValueError: There is no such state in ``state``, or more than one.

    PyTorch:
        ``optimizer.param_groups``: what a loop reads to log the learning rate. Only numbers are
        held in the state: switches such as ``amsgrad`` are not listed.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.5)
        >>> print(ja.optimizers.get_hyperparams(tx.init(jnp.ones(2)))[0]["lr"])
        0.5
    """
    return tuple(
        {name: _map_values(_decoded, value) for name, value in group.items()}
        for group in _find(state).hyperparams
    )


def set_hyperparams(state: State, group: int | None = None, **values: Any) -> State:
    """Return the state with other hyperparameters from the next update on.

    Nothing is compiled again: the new numbers have the old ones' dtype and place.

    Args:
        state: The state of :func:`param_groups`, or any pytree that holds one such state.
        group: The group's index in order, -1 for the default group; ``None`` for all groups.
        **values: Hyperparameters by name: numbers, JAX scalars, or tuples where the optimizer's
            argument is one (``None`` in a tuple keeps what is there).

    Returns:
        A state like the given one.

    Raises:
        ValueError: There is no such group or no such hyperparameter; a schedule drives it; a tuple
            has another length; or ``state`` does not hold exactly one such state.
        TypeError: A value is no number or scalar, or ``group`` no integer.

    PyTorch:
        ``optimizer.param_groups[group]["lr"] = value``: same effect, and like there the value is
        not checked against the optimizer's bounds. A momentum that was the number 0 has no buffer
        and cannot be changed; PyTorch would start one.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, [], lr=0.5)
        >>> w = jnp.ones(2)
        >>> state = ja.optimizers.set_hyperparams(tx.init(w), lr=0.25)
        >>> updates, state = tx.update(w, state, w)
        >>> print(updates)
        [-0.25 -0.25]
    """
    own = _find(state)
    count = len(own.hyperparams)
    if group is not None and not isinstance(group, int):
        raise TypeError(f"group must be an integer or None, got {group!r}")
    if group is not None and not -count <= group < count:
        raise ValueError(f"group must be between {-count} and {count - 1}, got {group}")
    chosen = range(count) if group is None else [group % count]
    hyperparams = tuple(
        {**old, **_replaced(old, values)} if index in chosen else old
        for index, old in enumerate(own.hyperparams)
    )
    replacement = own._replace(hyperparams=hyperparams)
    return jax.tree.map(lambda node: replacement if _is_own(node) else node, state, is_leaf=_is_own)


def written(numbers: Mapping[str, Any], params: Params) -> dict[str, Any]:
    """Return a group's hyperparameters as the state first holds them, beside the parameters."""
    dtype = jax.dtypes.canonicalize_dtype(float)

    def place(number: Any) -> jax.Array:
        if isinstance(number, Tracer):
            return number.astype(dtype)
        return initial_scalar(params, dtype, number)

    return {name: _held(name, value, 0, place) for name, value in numbers.items()}


def rewritten(held: Mapping[str, Any], numbers: Mapping[str, Any], step: Any) -> dict[str, Any]:
    """Return a group's hyperparameters for the next update: what is scheduled is read anew."""

    def renew(name: str, old: Any, value: Any) -> Any:
        if type(old) is tuple:
            return tuple(renew(name, *pair) for pair in zip(old, value, strict=True))
        if not isinstance(old, Scheduled):
            return old
        dtype = jax.tree.leaves(old)[0].dtype
        return _held(name, value, step, lambda number: jnp.asarray(number, dtype))

    return {name: renew(name, old, numbers[name]) for name, old in held.items()}


def in_force(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the optimizer is given for a group's held hyperparameters."""

    def unscheduled(item: Any) -> Any:
        return item.value if isinstance(item, Scheduled) else item

    return {name: _map_values(unscheduled, value) for name, value in held.items()}


def _held(name: str, value: Any, step: Any, place: Callable[[Any], jax.Array]) -> Any:
    """Return a hyperparameter as the state holds it, its scalars made by ``place``."""
    if isinstance(value, (tuple, list)):
        return tuple(_held(name, item, step, place) for item in value)
    if value is None:
        return None
    number = value_at(value, step)
    is_decay = name in DECAY_FACTORS
    held = Complement(place(one_minus(number))) if is_decay else place(number)
    return Scheduled(held) if callable(value) else held


def _map_values(function: Callable[[Any], Any], held: Any) -> Any:
    """Apply a function to a hyperparameter, or to each of a tuple of them."""
    if type(held) is tuple:
        return tuple(_map_values(function, item) for item in held)
    return None if held is None else function(held)


def _decoded(held: Any) -> Any:
    """Return the number itself: a float, or a JAX scalar under a trace."""
    held = held.value if isinstance(held, Scheduled) else held
    array = held.one_minus if isinstance(held, Complement) else held
    number = array if isinstance(array, Tracer) else float(array)
    return 1 - number if isinstance(held, Complement) else number


def _replaced(old: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return new entries for the named hyperparameters of a group."""
    unknown = sorted(set(values) - set(old))
    if unknown:
        raise ValueError(
            f"no hyperparameter {unknown[0]!r} in the state; this group holds {sorted(old)} "
            "(switches, and a momentum that was the number 0, are fixed when the optimizer is made)"
        )
    return {name: _replaced_one(name, old[name], value) for name, value in values.items()}


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
    number = value_at(value, 0)
    if isinstance(held, Complement):
        return Complement(_placed_like(held.one_minus, one_minus(number)))
    return _placed_like(held, number)


def _placed_like(old: jax.Array, number: Any) -> jax.Array:
    """Return a number as a scalar with another's dtype and sharding."""
    if isinstance(old, Tracer) or isinstance(number, Tracer) or not old.committed:
        return jnp.asarray(number, old.dtype)
    return jax.device_put(np.asarray(number, old.dtype), old.sharding)


def _is_own(node: Any) -> bool:
    """Return whether a node is the state of parameter groups."""
    return isinstance(node, ParamGroupsState)


def _find(state: Any) -> ParamGroupsState:
    """Return the one state of parameter groups in a pytree."""
    found = [node for node in jax.tree.leaves(state, is_leaf=_is_own) if _is_own(node)]
    if len(found) != 1:
        raise ValueError(
            f"state must hold the state of one param_groups(...), found {len(found)} in "
            f"{type(state).__name__}"
        )
    return found[0]
