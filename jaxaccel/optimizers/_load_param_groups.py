"""PyTorch's ``param_groups`` on the way in: what is restored, what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jaxaccel.optimizers._held import restored, scheduled
from jaxaccel.optimizers._torch_groups import Calls, given_value, is_same, plain, torch_group
from jaxaccel.optimizers._torch_units import Units

_MAY_BE_MISSING = ("maximize", "nesterov", "decoupled_weight_decay", "amsgrad", "layout")
"""Switches that groups of older versions of PyTorch do not have, where it fills them in."""

_SCHEDULES_AGREE = 1e-6
"""Relative distance up to which a schedule and its closed form are the same."""


def check_groups(
    units: Units, calls: Calls | None, given: Mapping[int, Mapping[str, Any]], step: int
) -> None:
    """Raise unless PyTorch's groups have what the calls fix.

    Args:
        units: The states, with the numbers that are not fixed.
        calls: The calls, or None where nobody gave them.
        given: PyTorch's groups that have members, by the index of ours.
        step: The number of updates that schedules are read at.
    """
    fields = units.fields
    for index, group in given.items():
        for name in fields.group_has:
            if name not in group:
                raise ValueError(_another(index, f"has no {name!r}", group))
        for name in fields.group_lacks:
            if name in group:
                raise ValueError(_another(index, f"has {name!r}", group))
    if calls is None:
        return
    for index, group in given.items():
        own = torch_group(calls.of_group(index), fields, step)
        held = {} if units.groups is None else units.groups.hyperparams[index]
        for name, value in own.items():
            if name in fields.switches:
                continue
            if name not in group:
                if name not in _MAY_BE_MISSING:
                    raise ValueError(_another(index, f"has no {name!r}", group))
                continue
            _compare(index, name, value, group[name], held, calls.of_group(index)[name], step)


def _compare(
    index: int, name: str, own: Any, given: Any, held: Mapping[str, Any], raw: Any, step: int
) -> None:
    """Raise unless a value of a group is the call's, where the state does not hold it."""
    other = given_value(f"{name} of group {index}", given)
    is_scheduled = _is_scheduled(raw)
    if name in held and not is_scheduled:
        return
    if not is_same(own, other, _SCHEDULES_AGREE if is_scheduled else 0.0):
        what = f"the schedule gives {own!r} at step {step}" if is_scheduled else f"{own!r} here"
        raise ValueError(
            f"{name} of group {index} is {other!r} in PyTorch's param_groups and {what}; make the "
            f"optimizer with {name}={other!r}, or change what is loaded"
        )


def _is_scheduled(raw: Any) -> bool:
    """Return whether an argument, or one of a tuple of them, is a schedule."""
    return callable(raw) or (type(raw) is tuple and any(map(callable, raw)))


def _another(index: int, what: str, group: Mapping[str, Any]) -> str:
    """Return what to say about the groups of another optimizer."""
    return (
        f"group {index} of PyTorch's param_groups {what}, so it is another optimizer's (its keys: "
        f"{sorted(map(str, group))}); make the one that PyTorch had"
    )


def loaded_hyperparams(
    units: Units,
    calls: Calls | None,
    given: Mapping[int, Mapping[str, Any]],
    step: int,
) -> tuple[dict[str, Any], ...] | None:
    """Return the numbers that the state holds, restored from PyTorch's groups, schedules read."""
    if units.groups is None:
        return None
    found = list(units.groups.hyperparams)
    for index, held in enumerate(found):
        group = given.get(index, {})
        values = {
            name: given_value(f"{name} of group {index}", group[name])
            for name in held
            if name in group
        }
        for name, value in values.items():
            if isinstance(value, (bool, str)):
                raise TypeError(f"{name} of group {index} must be a number, got {value!r}")
        of_schedules = [name for name, value in held.items() if scheduled(value)]
        if calls is not None:
            raw = calls.of_factory(index)
            values |= {name: plain(raw[name], step) for name in of_schedules}
        missing = [name for name in of_schedules if name not in values]
        if missing and step != units.schedule_step():
            raise ValueError(
                f"a schedule writes {missing[0]} of group {index}, and only the transformation "
                f"knows its value at step {step}: pass tx=..."
            )
        found[index] = restored(held, values)
    return tuple(found)
