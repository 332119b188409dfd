"""Every optimizer's state as ``torch.optim.X.state_dict()["state"]`` holds it, out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._tree import is_none
from jaxaccel._types import Params, State
from jaxaccel.optimizers._adam import AdamState
from jaxaccel.optimizers._torch_fields import FlatFields, TorchFields


def state_dict(state: State, params: Params) -> dict[int, dict[str, Any]]:
    """Return an optimizer's state as PyTorch keeps it: by parameter, under PyTorch's keys.

    Args:
        state: The state of an optimizer that PyTorch has too, or your own if its class has
            :class:`TorchFields`.
        params: The parameters, or anything of their structure.

    Returns:
        {index of the parameter: {key: value}}, where the index counts the leaves of ``params``.
        Values are NumPy arrays on the host in the leaves' own layout and dtype; a count or a
        number that PyTorch holds as a tensor is a float32 scalar. LBFGS has everything at index
        0, lists and Python numbers among it.

    Raises:
        TypeError: The class of ``state`` does not say what PyTorch keeps of it (see
            :class:`TorchFields`).

    PyTorch:
        ``optimizer.state_dict()["state"]``, with arrays for tensors. A parameter without gradient
        has an entry here (zeros) and none there. ``param_groups`` is not part of it: the
        hyperparameters are the arguments of the call that made the optimizer.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.adam()
        >>> w = jnp.ones(2)
        >>> _, state = tx.update(w, tx.init(w), w)
        >>> found = ja.optimizers.state_dict(state, w)
        >>> print(found[0]["step"], found[0]["exp_avg"])
        1.0 [0.1 0.1]
    """
    fields = _fields_of(state)
    if isinstance(fields, FlatFields):
        return {0: _flat_state_dict(state, fields)} if state.n_iter > 0 else {}
    treedef = jax.tree.structure(params, is_leaf=is_none)
    entries: dict[int, dict[str, Any]] = {index: {} for index in range(treedef.num_leaves)}
    for name in fields.shared:
        for entry in entries.values():
            entry[name] = np.asarray(getattr(state, name), np.float32)
    for name in fields.shared_integers:
        for entry in entries.values():
            entry[name] = int(getattr(state, name))
    for name, leaves in _slots(state, fields, treedef).items():
        for entry, leaf in zip(entries.values(), leaves, strict=True):
            if leaf is not None:
                entry[name] = np.array(leaf)
    return {index: entry for index, entry in entries.items() if entry}


def load_state_dict(
    state: State, params: Params, state_dict: Mapping[int, Mapping[str, Any]], step: Any = None
) -> State:
    """Return an optimizer's state with what PyTorch's state holds.

    Args:
        state: A state of the right shapes, such as ``tx.init(params)``; dtypes and placement stay
            as they are in it.
        params: The parameters, or anything of their structure.
        state_dict: ``optimizer.state_dict()["state"]``: arrays, or tensors on the host. The index
            counts the leaves of ``params``. A parameter that it does not name keeps what is in
            ``state``.
        step: The number of finished updates, for SGD, Muon and LBFGS, where PyTorch keeps none:
            schedules are read at it.

    Returns:
        A new state of the same structure.

    Raises:
        TypeError: The class of ``state`` does not say what PyTorch keeps of it (see
            :class:`TorchFields`), or a key of ``state_dict`` is not an integer.
        ValueError: An index is not one of a parameter; keys are missing or unknown; a shape
            differs; parameters have taken different numbers of steps; or ``step`` is missing where
            PyTorch keeps none.

    PyTorch:
        ``optimizer.load_state_dict``, except that nothing is cast: PyTorch casts NAdam's
        ``mu_product`` and ASGD's ``eta`` and ``mu`` to the parameter's dtype and goes on in it.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.sgd(momentum=0.9)
        >>> w = jnp.ones(2)
        >>> found = {0: {"momentum_buffer": jnp.array([3.0, 4.0])}}
        >>> state = ja.optimizers.load_state_dict(tx.init(w), w, found, step=7)
        >>> print(state.step, state.momentum_buffer)
        7 [3. 4.]
    """
    fields = _fields_of(state)
    counts = () if isinstance(fields, FlatFields) else (*fields.shared, *fields.shared_integers)
    if "step" in state._fields and "step" not in counts:
        if step is None:
            raise ValueError(
                f"step must be given for {type(state).__name__}: PyTorch's state does not hold the "
                "number of finished updates"
            )
        state = state._replace(step=_like("step", state.step, step))
    if not state_dict:
        return state
    treedef = jax.tree.structure(params, is_leaf=is_none)
    _check_indices(state_dict, treedef.num_leaves)
    if isinstance(fields, FlatFields):
        return _load_flat(state, fields, state_dict.get(0, {}))
    slots = _slots(state, fields, treedef)
    _check_keys(state_dict, fields, slots)
    scalars = {name: _common(name, state_dict) for name in counts}
    loaded = {
        name: [
            leaf if leaf is None or index not in state_dict else
            _like(f"{name} of parameter {index}", leaf, state_dict[index][name])
            for index, leaf in enumerate(leaves)
        ]
        for name, leaves in slots.items()
    }  # fmt: skip
    return state._replace(
        **{name: _like(name, getattr(state, name), value) for name, value in scalars.items()},
        **{name: treedef.unflatten(leaves) for name, leaves in loaded.items()},
    )


def _fields_of(state: Any) -> TorchFields | FlatFields:
    """Return what a state's class says about PyTorch's state."""
    fields = getattr(type(state), "torch_fields", None)
    if not isinstance(fields, (TorchFields, FlatFields)):
        raise TypeError(
            f"state must belong to an optimizer that PyTorch has, got {type(state).__name__}, "
            "whose class does not say which fields PyTorch keeps; say it there as AdamState does: "
            f"torch_fields = {AdamState.torch_fields}"
        )
    return fields


def _slots(state: Any, fields: TorchFields, treedef: Any) -> dict[str, list[Any]]:
    """Return the leaves of every slot in use, one a parameter (``None``: it has no such key)."""
    in_use = {name: getattr(state, name) for name in fields.per_parameter}
    return {name: treedef.flatten_up_to(tree) for name, tree in in_use.items() if tree is not None}


def _check_indices(state_dict: Mapping[Any, Any], count: int) -> None:
    """Raise unless every key is the index of one of ``count`` parameters."""
    for key in state_dict:
        if not isinstance(key, (int, np.integer)):
            remedy = (
                'give what optimizer.state_dict() has under "state"'
                if "state" in state_dict
                else "where JSON has made strings of them, give {int(key): entry for key, entry in "
                "state_dict.items()}"
            )
            raise TypeError(
                f"state_dict has the key {key!r}, expected the indices of {count} parameters; "
                + remedy
            )
        if not 0 <= key < count:
            raise ValueError(
                f"state_dict has the index {key}, but params has {count} parameters; give the "
                "params that the state belongs to, as one tree"
            )


def _check_keys(state_dict: Mapping[int, Any], fields: TorchFields, slots: dict[str, Any]) -> None:
    """Raise unless every entry has just the keys that its parameter has here."""
    for index, entry in state_dict.items():
        own = {name for name, leaves in slots.items() if leaves[index] is not None}
        expected = {*fields.shared, *fields.shared_integers, *own}
        found = {name for name, value in entry.items() if value is not None}
        if found != expected:
            raise ValueError(
                f"state_dict[{index}] has the keys {sorted(found)}, expected {sorted(expected)}; "
                "make the optimizer with the arguments that PyTorch's had"
            )


def _common(name: str, state_dict: Mapping[int, Any]) -> Any:
    """Return a number that PyTorch keeps with every parameter and jaxaccel once."""
    values = {float(entry[name]) for entry in state_dict.values()}
    if len(values) > 1:
        raise ValueError(
            f"parameters have different {name} ({sorted(values)}); one {name} is kept for all, so "
            "parameters that joined later need an optimizer of their own"
        )
    return values.pop()


def _like(name: str, old: jax.Array, value: Any) -> jax.Array:
    """Return a value as an array with another's shape, dtype and placement."""
    array = np.asarray(value)
    if array.shape != old.shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {old.shape}")
    array = array.astype(old.dtype)
    return jax.device_put(array, old.sharding) if old.committed else jnp.asarray(array)


def _flat_state_dict(state: Any, fields: FlatFields) -> dict[str, Any]:
    """Return the entry of LBFGS's first parameter."""
    size, stored = len(state.ro), int(state.num_stored)
    rows = [k % size for k in range(max(0, stored - size), stored)]
    return {
        **{name: int(getattr(state, name)) for name in fields.integers},
        **{name: float(getattr(state, name)) for name in fields.numbers},
        **{name: np.array(getattr(state, name)) for name in fields.arrays},
        **{name: [np.array(getattr(state, name)[row]) for row in rows] for name in fields.lists},
        "al": [None] * size,
    }


def _load_flat(state: Any, fields: FlatFields, entry: Mapping[str, Any]) -> Any:
    """Return LBFGS's state with the entry of its first parameter."""
    missing = [name for names in fields for name in names if name not in entry]
    if missing:
        raise ValueError(f"state_dict[0] has no {missing[0]!r}; keys: {sorted(entry)}")
    size, stored = len(state.ro), len(entry["ro"])
    if stored > size:
        raise ValueError(f"state_dict[0] holds {stored} pairs, more than history_size={size}")

    def ring(name: str) -> jax.Array:
        old = getattr(state, name)
        rows = np.zeros(old.shape, old.dtype)
        for row, value in enumerate(entry[name]):
            rows[row] = np.asarray(value)
        return _like(name, old, rows)

    single = (*fields.integers, *fields.numbers, *fields.arrays)
    return state._replace(
        num_stored=_like("num_stored", state.num_stored, stored),
        **{name: _like(name, getattr(state, name), entry[name]) for name in single},
        **{name: ring(name) for name in fields.lists},
    )
