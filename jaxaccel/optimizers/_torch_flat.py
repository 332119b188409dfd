"""The state of LBFGS, one vector over all parameters, as its first parameter has it in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxaccel._host_arrays import host_array
from jaxaccel._layout import to_torch
from jaxaccel._math import widest
from jaxaccel.optimizers._torch_fields import FlatFields
from jaxaccel.optimizers._torch_params import TorchParam, trained
from jaxaccel.optimizers._torch_units import loaded_like


def flat_order(found: Sequence[TorchParam]) -> np.ndarray | None:
    """Return where our vector has each number of PyTorch's; -1 for one that is not trained.

    None: both are in the same order.
    """
    if any(param.named is None for param in found):
        return None
    sizes = {param.leaf: _real_size(param) for param in trained(found)}
    starts, position = {}, 0
    for leaf in sorted(sizes):
        starts[leaf], position = position, position + sizes[leaf]
    parts = []
    for param in found:
        if not param.is_trained:
            parts.append(np.full(_real_size(param), -1))
            continue
        value = _variable(param)
        places = np.arange(value.size).reshape(value.shape)
        places = (to_torch(places) if param.layout == "flax" else places).ravel()
        if np.iscomplexobj(value):
            places = (2 * places[:, None] + np.arange(2)).ravel()
        parts.append(starts[param.leaf] + places)
    return np.concatenate([np.zeros(0, int), *parts])


def _variable(param: TorchParam) -> Any:
    """Return the array of the model that a parameter is, or one of its shape and dtype."""
    assert param.named is not None
    variable = param.named.arrays[0].variable
    return np.broadcast_to(np.zeros((), variable.dtype), variable.shape)


def _real_size(param: TorchParam) -> int:
    """Return how many reals a parameter holds."""
    value = _variable(param)
    return value.size * (2 if np.iscomplexobj(value) else 1)


def flat_state_dict(state: Any, fields: FlatFields, order: np.ndarray | None) -> dict[str, Any]:
    """Return the entry of LBFGS's first parameter."""
    size, stored = len(state.ro), int(state.num_stored)
    rows = [k % size for k in range(max(0, stored - size), stored)]

    def out(value: Any) -> np.ndarray:
        array = np.array(host_array("state", value))
        if order is None or array.ndim == 0:
            return array
        return np.where(order < 0, 0, array[order]).astype(array.dtype)

    return {
        **{name: int(getattr(state, name)) for name in fields.integers},
        **{name: float(getattr(state, name)) for name in fields.numbers},
        **{name: out(getattr(state, name)) for name in fields.arrays},
        **{name: [out(getattr(state, name)[row]) for row in rows] for name in fields.lists},
        "al": [None] * size,
    }


def load_flat(
    state: Any, fields: FlatFields, index: int, entry: Mapping[str, Any], order: np.ndarray | None
) -> Any:
    """Return LBFGS's state with the entry of its first parameter."""
    needed = [name for names in fields[:4] for name in names]
    if entry.get("n_iter") == 0 and "ro" not in entry:
        # It began where the gradient was already small enough.
        return state._replace(func_evals=_loaded("func_evals", state, index, entry))
    missing = [name for name in needed if name not in entry]
    if missing:
        raise ValueError(f"state_dict[{index}] has no {missing[0]!r}; keys: {sorted(entry)}")
    unknown = sorted(set(entry) - set(needed) - {"al"})
    if unknown:
        raise ValueError(
            f"state_dict[{index}] has the key {unknown[0]!r}, which LBFGS does not have"
        )
    size, stored = len(state.ro), len(entry["ro"])
    if stored > size:
        raise ValueError(f"state_dict[{index}] holds {stored} pairs, more than history_size={size}")

    def array(name: str, value: Any) -> np.ndarray:
        return _in_our_order(f"{name} of state_dict[{index}]", value, order)

    def ring(name: str) -> jax.Array:
        old = getattr(state, name)
        if len(entry[name]) != stored:
            raise ValueError(
                f"{name} of state_dict[{index}] has {len(entry[name])} entries, expected {stored}"
            )
        rows = [array(name, value) for value in entry[name]]
        for row in rows:
            if row.shape != old.shape[1:]:
                raise ValueError(
                    f"{name} of state_dict[{index}] has entries of shape {row.shape}, expected "
                    f"{old.shape[1:]}"
                )
        dtype = widest(old.dtype, *(row.dtype for row in rows))
        full = np.zeros(old.shape, dtype)
        full[:stored] = np.array(rows, dtype).reshape(full[:stored].shape)
        return loaded_like(name, old, full)

    single = (*fields.integers, *fields.numbers, *fields.arrays)
    return state._replace(
        num_stored=loaded_like("num_stored", state.num_stored, np.asarray(stored)),
        **{name: _loaded(name, state, index, entry, order) for name in single},
        **{name: ring(name) for name in fields.lists},
    )


def _loaded(
    name: str, state: Any, index: int, entry: Mapping[str, Any], order: np.ndarray | None = None
) -> jax.Array:
    """Return a field of the state with what the entry has for it."""
    place = f"{name} of state_dict[{index}]"
    return loaded_like(place, getattr(state, name), _in_our_order(place, entry[name], order))


def _in_our_order(name: str, value: Any, order: np.ndarray | None) -> np.ndarray:
    """Return a vector of PyTorch's in the order of our leaves; numbers are left alone."""
    array = host_array(name, value)
    if order is None or array.ndim == 0:
        return array
    if array.shape != order.shape:
        raise ValueError(f"{name} has shape {array.shape}, expected {order.shape}")
    if array[order < 0].any():
        raise ValueError(
            f"{name} has moved parameters that are not trained here; train them, as PyTorch did"
        )
    own = np.zeros(np.count_nonzero(order >= 0), array.dtype)
    own[order[order >= 0]] = array[order >= 0]
    return own
