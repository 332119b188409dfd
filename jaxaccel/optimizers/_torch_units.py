"""The states of optimizers in a state, wherever in it they are: found, and replaced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxaccel._host_arrays import cast, placed_like
from jaxaccel._tree import Counts, holds_hyperparams, is_named_tuple, is_none
from jaxaccel.optimizers._adam import AdamState
from jaxaccel.optimizers._param_groups import ParamGroupsState
from jaxaccel.optimizers._torch_fields import FlatFields, TorchFields


class Units(NamedTuple):
    """What of a state PyTorch has."""

    states: tuple[Any, ...]
    """An optimizer's state; of ``param_groups`` one a group."""
    groups: ParamGroupsState | None
    """The state of ``param_groups`` that they are in."""
    step: Any
    """The number that schedules are read at; None where that is the optimizer's own."""

    @property
    def fields(self) -> TorchFields | FlatFields:
        """What their class says about PyTorch's state."""
        return type(self.states[0]).torch_fields

    def schedule_step(self) -> int:
        """Return the number of finished updates that schedules are read at."""
        step: Any = self.states[0].step if self.step is None else self.step
        return int(np.asarray(step.of_all if isinstance(step, Counts) else step))


def units_of(state: Any) -> Units:
    """Return the states of the one optimizer in a state.

    Raises:
        TypeError: There is none, or PyTorch has no such state.
        ValueError: There are several.
    """
    nodes = list(_nodes(state))
    states = tuple(node for node in nodes if _is_optimizer(node))
    groups = [node for node in nodes if isinstance(node, ParamGroupsState)]
    _check_kind(state, nodes, states)
    per_group = [
        len([n for n in _nodes(s) if _is_optimizer(n)]) for g in groups for s in g.inner_states
    ]
    if len(groups) > 1 or (groups and {1} != set(per_group)) or len(states) > len(per_group or [1]):
        kinds = ", ".join(type(node).__name__ for node in (*groups, *states))
        raise ValueError(
            f"state holds the states of several optimizers ({kinds}), and PyTorch's state_dict is "
            "that of one; pass each by itself, such as state[1]"
        )
    steps = [node.step for node in nodes if getattr(type(node), "reads_schedules", False)]
    return Units(states, groups[0] if groups else None, steps[0] if steps else None)


def own_params(units: Units, params: Any) -> Any:
    """Return the parameters without those that the optimizer does not have: a part of two has some.

    Their places hold nothing, as they do in its state.
    """
    leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
    slots = [
        treedef.flatten_up_to(slot)
        for state in units.states
        for name in getattr(units.fields, "per_parameter", ())
        if (slot := getattr(state, name)) is not None
    ]
    if not slots:
        return params
    return treedef.unflatten(
        optax.MaskedNode() if all(isinstance(each, optax.MaskedNode) for each in column) else leaf
        for leaf, column in zip(leaves, zip(*slots, strict=True), strict=True)
    )


def replaced(state: Any, states: Sequence[Any], hyperparams: Any, step: int) -> Any:
    """Return the state with other states of its optimizer, and the numbers around them."""
    new = iter(states)

    def rebuilt(node: Any) -> Any:
        if _is_optimizer(node):
            return _with_count_of_all(next(new), step)
        if not is_named_tuple(node):
            return node
        parts = {name: below(part) for name, part in node._asdict().items()}
        if isinstance(node, ParamGroupsState) and hyperparams is not None:
            parts["hyperparams"] = hyperparams
        if getattr(type(node), "reads_schedules", False):
            parts["step"] = loaded_like("step", node.step, np.asarray(step))
        return node._replace(**parts)

    def below(part: Any) -> Any:
        return jax.tree.map(rebuilt, part, is_leaf=is_named_tuple)

    return below(state)


def _with_count_of_all(state: Any, step: int) -> Any:
    """Return an optimizer's state with the number of updates, where parameters have their own."""
    counts = getattr(state, "step", None)
    if not isinstance(counts, Counts):
        return state
    of_all = loaded_like("step", counts.of_all, np.asarray(step))
    return state._replace(step=counts._replace(of_all=of_all))


def loaded_like(name: str, old: Any, array: np.ndarray) -> jax.Array:
    """Return a value with another's dtype and placement, when it has its shape."""
    if array.shape != np.shape(old):
        raise ValueError(f"{name} has shape {array.shape}, expected {np.shape(old)}")
    return placed_like(old, cast(name, array, old.dtype))


def _check_kind(state: Any, nodes: Sequence[Any], states: Sequence[Any]) -> None:
    """Raise unless there is a state that PyTorch knows, and none around it that hides numbers."""
    if not states:
        kinds = [type(node).__name__ for node in nodes] or [type(state).__name__]
        raise TypeError(
            f"state must belong to an optimizer that PyTorch has, got {', '.join(kinds)}, whose "
            "class does not say which fields PyTorch keeps; say it there as AdamState does: "
            f"torch_fields = {AdamState.torch_fields}"
        )
    for node in nodes:
        if holds_hyperparams(node) and not isinstance(node, ParamGroupsState):
            raise TypeError(
                f"{type(node).__name__} holds hyperparameters that this does not know; make the "
                "optimizer with param_groups(adamw, [], lr=...) instead of inject_hyperparams"
            )


def _nodes(state: Any) -> Iterator[Any]:
    """Yield all NamedTuples in a state down to those of optimizers, outer before inner."""
    for node in jax.tree.leaves(state, is_leaf=is_named_tuple):
        if is_named_tuple(node):
            yield node
            if not _is_optimizer(node):
                for part in node:
                    yield from _nodes(part)


def _is_optimizer(node: Any) -> bool:
    """Return whether a node's class says what PyTorch keeps of it."""
    return isinstance(getattr(type(node), "torch_fields", None), (TorchFields, FlatFields))
