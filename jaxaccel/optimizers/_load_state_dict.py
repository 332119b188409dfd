"""Every optimizer's state as ``torch.optim.X.state_dict()`` has it: the way in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxaccel._checked import checked_after
from jaxaccel._named_arrays import named_as
from jaxaccel._packed import packed_as, unpacked
from jaxaccel._tree import is_none
from jaxaccel._types import Params, State
from jaxaccel.optimizers._load_entries import count, loaded, with_step
from jaxaccel.optimizers._load_param_groups import check_groups, loaded_hyperparams
from jaxaccel.optimizers._state_dict import check_layouts_agree, owners
from jaxaccel.optimizers._torch_fields import FlatFields
from jaxaccel.optimizers._torch_flat import flat_order, load_flat
from jaxaccel.optimizers._torch_groups import calls_of
from jaxaccel.optimizers._torch_params import (
    TorchParam,
    by_index,
    grouped,
    torch_params,
    trained,
)
from jaxaccel.optimizers._torch_units import own_params, replaced, units_of


@checked_after
def load_state_dict(
    state: State,
    params: Params,
    state_dict: Mapping[Any, Any],
    step: Any = None,
    *,
    model: Any = None,
    tx: Any = None,
) -> State:
    """Return an optimizer's state with what PyTorch's state holds.

    Everything is checked first; numbers that would become others in the cast are refused.

    Args:
        state: A state of the right shapes, such as ``tx.init(params)``, as :func:`state_dict` takes
            it; dtypes and placement stay as they are in it, and so does what PyTorch does not have,
            such as the slow weights of :func:`lookahead`.
        params: The parameters, or anything of their structure.
        state_dict: ``optimizer.state_dict()``, or only what it has under ``"state"``: arrays of
            NumPy or JAX, or tensors, of any dtype and on any device. A parameter that it does not
            name keeps what is in ``state``: one that never had a gradient there. It has a
            step of its own only inside :func:`count_per_parameter`.
        step: The number of finished updates, for SGD, Muon and LBFGS, where PyTorch keeps none:
            schedules are read at it.
        model: As for :func:`state_dict`. PyTorch's optimizer may have all of the model's parameters
            or those that are trained: ``"param_groups"`` says which. Where they have
            ``"param_names"``, the names count and not the order.
        tx: The transformation that made ``state``, to compare ``"param_groups"`` with: numbers and
            switches that are fixed in its call must be equal. Of an ``optax.chain``, the optimizer
            in it. Needed for several groups, whose members it knows.

    Returns:
        A new state of the same structure. Numbers of :func:`param_groups` become those of
        ``"param_groups"``; those of a schedule are read from it.

    Raises:
        TypeError: As for :func:`state_dict`; a key of ``state_dict`` is not an integer; or a value
            is not a number or an array of numbers.
        ValueError: An index is not one of a parameter; keys are missing or unknown (the state of
            another optimizer); a shape or a count differs; parameters have taken different numbers
            of steps; ``step`` is missing where PyTorch keeps none, or is not a count; or
            ``"param_groups"`` differs from ``tx``: the text has the group, the key and both values.

    PyTorch:
        ``optimizer.load_state_dict``, except that nothing is cast that need not be: PyTorch casts
        NAdam's ``mu_product`` and ASGD's ``eta`` and ``mu`` to the parameter's dtype and goes on in
        it. Keys of the groups that nobody knows are passed over.

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
    packed_state, state = state, unpacked(state, "state")
    params = named_as(unpacked(params, "params"), state)
    units = units_of(state)
    params = own_params(units, params)
    calls = None if tx is None else calls_of(tx, units, state, params)
    entries, param_groups = _parts(state_dict)
    everything = torch_params(params, model, owners(units, calls))
    check_layouts_agree(calls, everything, units.fields)
    indices = by_index(everything, param_groups)
    _check_entries(entries, indices)
    step = None if step is None else count("step", step)
    if isinstance(units.fields, FlatFields):
        only = with_step(units.states[0], step)
        for index, entry in entries.items():
            if index != next(iter(indices)):
                raise ValueError(
                    f"state_dict[{index}] must be empty: LBFGS has everything in "
                    f"state_dict[{next(iter(indices))}], with its first parameter"
                )
            order = flat_order(list(indices.values()))
            only = load_flat(only, units.fields, index, entry, order)
        states = (only,)
    else:
        treedef = jax.tree.structure(params, is_leaf=is_none)
        states = tuple(
            loaded(inner, units.fields, treedef, _of_group(group, entries, indices), step)
            for group, inner in enumerate(units.states)
        )
    finished = _finished(states, units.fields, units.schedule_step(), bool(entries), step)
    given = _by_group(everything, param_groups)
    check_groups(units, calls, given, finished)
    hyperparams = loaded_hyperparams(units, calls, given, finished)
    return packed_as(replaced(state, states, hyperparams, finished), packed_state)


def _parts(state_dict: Mapping[Any, Any]) -> tuple[dict[int, Any], list[Mapping[str, Any]] | None]:
    """Return the entries and the groups of PyTorch's state, empty groups left out."""
    if "state" not in state_dict:
        return _with_indices(state_dict), None
    extra = [key for key in state_dict if key not in ("state", "param_groups")]
    if extra or not isinstance(state_dict["state"], Mapping):
        raise TypeError(
            'state_dict must have {index: entry} under "state" and nothing but "param_groups" '
            f"beside it, got the keys {list(state_dict)}; give what optimizer.state_dict() returns"
        )
    groups = state_dict.get("param_groups")
    if groups is None:
        return _with_indices(state_dict["state"]), None
    for group in groups if isinstance(groups, (list, tuple)) else [groups]:
        if not isinstance(group, Mapping) or not isinstance(group.get("params"), (list, tuple)):
            raise TypeError(
                '"param_groups" must be a list of dictionaries with a list under "params", as '
                f"optimizer.state_dict() has it, got {group!r}"
            )
    return _with_indices(state_dict["state"]), [group for group in groups if group["params"]]


def _by_group(
    everything: Sequence[TorchParam], param_groups: Sequence[Mapping[str, Any]] | None
) -> dict[int, Mapping[str, Any]]:
    """Return PyTorch's groups by the index of ours, of which some may be empty."""
    for candidate in (trained(everything), everything):
        ours = [group for group, _ in grouped(candidate)]
        if param_groups is not None and len(ours) == len(param_groups):
            return dict(zip(ours, param_groups, strict=True))
    return {}


def _with_indices(entries: Mapping[Any, Any]) -> dict[int, Any]:
    """Return the entries, when their keys are integers."""
    for key in entries:
        if isinstance(key, (bool, np.bool_)) or not isinstance(key, (int, np.integer)):
            raise TypeError(
                f"state_dict has the key {key!r}, expected the indices of parameters; where JSON "
                "has made strings of them, give {int(key): entry for key, entry in "
                "state_dict.items()}"
            )
    return {int(key): entry for key, entry in entries.items()}


def _check_entries(entries: dict[int, Any], indices: dict[int, TorchParam]) -> None:
    """Raise unless every entry is one of a parameter that is trained."""
    for index, entry in entries.items():
        if index not in indices:
            raise ValueError(
                f"state_dict has the index {index}, but there are {len(indices)} parameters; give "
                "the params that the state belongs to, as one tree"
            )
        if not isinstance(entry, Mapping):
            raise TypeError(f"state_dict[{index}] must be a mapping, got {type(entry).__name__}")
        if not indices[index].is_trained and any(value is not None for value in entry.values()):
            if "n_iter" in entry or entry.get("step") == 0:
                continue  # LBFGS's first parameter has everything, Adagrad's have zeros at once
            raise ValueError(
                f"state_dict[{index}] is of {indices[index].name}, which is not trained here: "
                "train it too, or leave the entry out"
            )


def _of_group(
    group: int, entries: Mapping[int, Any], indices: Mapping[int, TorchParam]
) -> dict[int, tuple[TorchParam, Mapping[str, Any]]]:
    """Return {index: (parameter, entry)} of a group, entries without anything left out."""
    return {
        index: (indices[index], entry)
        for index, entry in entries.items()
        if indices[index].is_trained
        and indices[index].group == group
        and any(value is not None for value in entry.values())
    }


def _finished(
    states: Sequence[Any], fields: Any, before: int, has_entries: bool, step: int | None
) -> int:
    """Return the number of finished updates of the whole."""
    steps = [getattr(state, "step", None) for state in states]
    counts = jax.tree.leaves([getattr(step, "of_leaves", step) for step in steps])
    found = max(map(int, counts), default=before) if has_entries or step is not None else before
    kept = not isinstance(fields, FlatFields) and "step" in (
        *fields.shared,
        *fields.shared_integers,
    )
    if step is not None and kept and has_entries and step != found:
        raise ValueError(
            f"step is {step}, but state_dict has the step {found}; leave step out, which is for "
            "optimizers of whose steps PyTorch keeps no count"
        )
    return found if step is None else step
