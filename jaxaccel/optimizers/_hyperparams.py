"""Read and change the hyperparameters that a state holds, wherever in it they are."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax

from jaxaccel._checked import checked, checked_after
from jaxaccel._donated import check_not_donated
from jaxaccel._tree import holds_hyperparams
from jaxaccel._types import State
from jaxaccel.optimizers._held import Scheduled, decoded, in_force, replaced

StateT = TypeVar("StateT")


class _Group(NamedTuple):
    """The hyperparameters of one group."""

    name: str
    held: Mapping[str, Any]
    """Scalars; those that a schedule writes are marked as :class:`Scheduled`."""


@checked_after
def has_hyperparams(state: State) -> bool:
    """Return whether a state holds hyperparameters that can be read and changed.

    Args:
        state: Any pytree: an optimizer's state, that of an ``optax.chain``, a train state.

    Returns:
        True if :func:`param_groups` or ``optax.inject_hyperparams`` made a part of it. An optimizer
        alone keeps its numbers in the compiled program.

    PyTorch:
        Always so there: ``optimizer.param_groups``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> w = jnp.ones(2)
        >>> ja.optimizers.has_hyperparams(ja.optimizers.sgd().init(w))
        False
        >>> ja.optimizers.has_hyperparams(
        ...     ja.optimizers.param_groups(ja.optimizers.sgd, []).init(w)
        ... )
        True
    """
    return next(_holders(state), None) is not None


@checked_after
def get_hyperparams(state: State) -> tuple[dict[str, Any], ...]:
    """Return the hyperparameters that a state holds, one dictionary a group.

    Args:
        state: The state of :func:`param_groups` or ``optax.inject_hyperparams``, or any pytree that
            holds such states: that of an ``optax.chain``, of ``optax.partition``, a train state.

    Returns:
        Per group, in the order of the tree: {name: Python float, or a tuple of them}, and under
        ``"name"`` the name of the group. The groups of :func:`param_groups` are called ``"0"``,
        ``"1"``, ... and ``"default"``, which comes last; ``optax.inject_hyperparams`` has one,
        ``"default"``. Where several states are found, the way to each comes first (as much of it as
        they don't share: ``"matrices.default"``; for ``optax.inject_hyperparams`` just
        ``"matrices"``). A scheduled number is the one that the next update uses
        (``optax.inject_hyperparams`` has what the last one used). Under a trace JAX scalars stand
        for the floats.

    Raises:
        ValueError: ``state`` holds no hyperparameters (see :func:`has_hyperparams`).

    PyTorch:
        ``optimizer.param_groups``: what a loop reads to log the learning rate. Only numbers are
        held in the state: switches such as ``amsgrad`` are not listed.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> groups = [{"params": "bias$", "lr": 0.25}]
        >>> tx = ja.optimizers.param_groups(ja.optimizers.sgd, groups, lr=0.5)
        >>> state = tx.init({"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)})
        >>> for group in ja.optimizers.get_hyperparams(state):
        ...     print(group["name"], group["lr"])
        0 0.25
        default 0.5
    """
    check_not_donated(state=state)
    return tuple({"name": group.name, **decoded(group.held)} for group in _groups(state))


@checked
def set_hyperparams(state: StateT, group: int | str | None = None, **values: Any) -> StateT:
    """Return the state with other hyperparameters from the next update on.

    Nothing is compiled again: the new numbers have the old ones' dtype and place.

    Args:
        state: A state that :func:`get_hyperparams` reads.
        group: Which group: its name or its index in what :func:`get_hyperparams` returns, -1 for
            the last; ``None`` for all groups.
        **values: Hyperparameters by name: numbers, JAX scalars, or tuples where the optimizer's
            argument is one (``None`` in a tuple keeps what is there).

    Returns:
        A state like the given one.

    Raises:
        ValueError: There is no such group or no such hyperparameter; a schedule drives it; a tuple
            has another length; or ``state`` holds no hyperparameters.
        TypeError: A value is not a number or a scalar, or ``group`` is not an integer or a name.

    PyTorch:
        ``optimizer.param_groups[group]["lr"] = value``: same effect, and like there the value is
        not checked against the optimizer's bounds, nor whether it is NaN: a compiled step takes it
        (an update outside of ``jit`` raises). A momentum that was the number 0 has no buffer and
        cannot be changed; PyTorch would start one.

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
    check_not_donated(state=state)
    groups = _groups(state)
    chosen = range(len(groups)) if group is None else [_index(group, groups)]
    hyperparams = [
        replaced(each.name, each.held, values) if index in chosen else each.held
        for index, each in enumerate(groups)
    ]
    return _rebuilt(state, iter(hyperparams))


def _groups(state: Any) -> list[_Group]:
    """Return all groups in a state, outer before inner, with their names."""
    holders = list(_holders(state))
    if not holders:
        raise ValueError(
            f"state holds no hyperparameters, got {type(state).__name__}. An optimizer alone keeps "
            "its numbers in the compiled program; put them into the state by making it with "
            "param_groups: param_groups(adamw, [], lr=...) instead of adamw(lr=...)"
        )
    found = []
    for path, holder in zip(_distinct([path for path, _ in holders]), holders, strict=True):
        node = holder[1]
        if isinstance(node.hyperparams, Mapping):
            found.append(_Group(".".join(path) or "default", _marked(node)))
        else:
            *numbered, default = node.hyperparams
            found += [_Group(".".join([*path, str(i)]), held) for i, held in enumerate(numbered)]
            found.append(_Group(".".join([*path, "default"]), default))
    return found


def _holders(state: Any, path: Sequence[Any] = ()) -> Iterator[tuple[Sequence[Any], Any]]:
    """Yield (path, node) for all nodes that hold hyperparameters, outer before inner."""
    for below, node in jax.tree.leaves_with_path(state, is_leaf=holds_hyperparams):
        if holds_hyperparams(node):
            yield (*path, *below), node
            for field, value in node._asdict().items():
                if field != "hyperparams":
                    yield from _holders(value, (*path, *below, jax.tree_util.GetAttrKey(field)))


def _distinct(paths: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Return the keys of each path without the first and the last ones that all paths share."""
    names = [[jax.tree_util.keystr((key,), simple=True) for key in path] for path in paths]
    for end in (0, -1):
        while all(names) and len({path[end] for path in names}) == 1:
            for path in names:
                path.pop(end)
    return names


def _marked(node: Any) -> dict[str, Any]:
    """Return the hyperparameters of ``optax.inject_hyperparams``, those of schedules marked."""
    scheduled = getattr(node, "hyperparams_states", ())
    return {
        name: Scheduled(value) if name in scheduled else value
        for name, value in node.hyperparams.items()
    }


def _index(group: int | str, groups: Sequence[_Group]) -> int:
    """Return the index of the group with a name or an index, maybe from the end."""
    names = [each.name for each in groups]
    if isinstance(group, str):
        if group not in names:
            raise ValueError(f"group must be one of {', '.join(map(repr, names))}, got {group!r}")
        return names.index(group)
    index = operator.index(group)
    if not -len(names) <= index < len(names):
        raise ValueError(
            f"group must be between {-len(names)} and {len(names) - 1}, got {index}; the groups "
            f"are {', '.join(map(repr, names))}"
        )
    return index % len(names)


def _rebuilt(state: Any, hyperparams: Iterator[Mapping[str, Any]]) -> Any:
    """Return the state with the next hyperparameters in all its nodes, outer before inner."""

    def rebuild(node: Any) -> Any:
        if not holds_hyperparams(node):
            return node
        if isinstance(node.hyperparams, Mapping):
            own: Any = in_force(next(hyperparams))
        else:
            own = tuple(next(hyperparams) for _ in node.hyperparams)
        others = {
            field: _rebuilt(value, hyperparams)
            for field, value in node._asdict().items()
            if field != "hyperparams"
        }
        return node._replace(hyperparams=own, **others)

    return jax.tree.map(rebuild, state, is_leaf=holds_hyperparams)
