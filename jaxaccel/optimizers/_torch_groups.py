"""What the call that made an optimizer says in the words of PyTorch's ``param_groups``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from jaxaccel._host_arrays import host_array
from jaxaccel._math import Complement, value_at
from jaxaccel._types import Params, State
from jaxaccel.optimizers._held import in_force
from jaxaccel.optimizers._param_groups import owners_of, param_groups, selector_of
from jaxaccel.optimizers._torch_fields import FlatFields, TorchFields
from jaxaccel.optimizers._torch_units import Units

_SWITCHES: dict[str, bool | None] = {
    "foreach": None,
    "fused": None,
    "capturable": False,
    "differentiable": False,
}
"""What PyTorch's groups say where nobody asked for anything: how to compute, not what."""

_OURS = ("layout",)
"""Arguments that PyTorch does not have: it keeps kernels in one layout."""


class Calls(NamedTuple):
    """The calls of an optimizer's factory, one a group."""

    selectors: list[Any]
    """What says which parameters a group has, of all groups but the last."""
    factory: Callable[..., Any] | None
    """What ``param_groups`` calls; None without it."""
    arguments: list[dict[str, Any]]
    """Its arguments, one dictionary a group."""
    whole: Any
    """The transformation itself, where it has no groups."""

    def owners(self, tree: Any) -> list[int]:
        """Return for every leaf the index of its group."""
        return owners_of(self.selectors, tree)

    def of_group(self, index: int, held: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the arguments of the optimizer's own call, maybe with numbers of the state."""
        made = self.whole
        if self.factory is not None:
            numbers = {} if held is None else in_force(held)
            made = self.factory(**{**self.arguments[index], **numbers})
        return _bound(*_optimizer_call(made))

    def of_factory(self, index: int) -> dict[str, Any]:
        """Return the arguments that ``param_groups`` gives to a group."""
        return _bound(self.factory, (), self.arguments[index]) if self.factory else {}


def calls_of(tx: Any, units: Units, state: State, params: Params) -> Calls:
    """Return the calls behind a transformation.

    Raises:
        TypeError: It does not say which calls made it, or makes another state than ``state``.
    """
    factory, args, kwargs = _optimizer_call(tx)
    if inspect.unwrap(factory) is inspect.unwrap(param_groups):
        bound = inspect.signature(factory).bind(*args, **kwargs).arguments
        groups, defaults = bound["groups"], bound.get("defaults", {})
        arguments = [{**defaults, **group} for group in [*groups, {}]]
        for each in arguments:
            each.pop("params", None)
        selectors = [selector_of(index, group) for index, group in enumerate(groups)]
        calls = Calls(selectors, bound["optimizer"], arguments, None)
    else:
        calls = Calls([], None, [{}], tx)
    _check_fits(tx, calls, units, state, params)
    return calls


def _check_fits(tx: Any, calls: Calls, units: Units, state: State, params: Params) -> None:
    """Raise unless a transformation makes a state's kind."""
    made = jax.eval_shape(tx.init, params)
    if len(calls.arguments) != len(units.states) or (calls.factory is None) != (
        units.groups is None
    ):
        raise TypeError(f"tx makes another state than {type(state).__name__}: {tx!r}")
    kinds = {type(node) for node in units.states}
    found = jax.tree.leaves(made, is_leaf=lambda node: type(node) in kinds)
    if not any(type(node) in kinds for node in found):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise TypeError(f"tx must be the transformation that made the state, {names}, got {tx!r}")


def _optimizer_call(tx: Any) -> Any:
    """Return the call of the optimizer in a transformation, what is around it taken off."""
    call = getattr(tx, "own_call", None)
    if not isinstance(call, tuple):
        raise TypeError(
            f"tx must be made by a function of jaxaccel, got {tx!r}, which does not say what it "
            "was made with; of an optax.chain pass the optimizer in it"
        )
    _, args, kwargs = call
    inside = [
        value
        for value in (*args, *kwargs.values())
        if isinstance(value, optax.GradientTransformation)
    ]
    return _optimizer_call(inside[0]) if inside else call


def _bound(factory: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call, defaults among them."""
    bound = inspect.signature(factory).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


def torch_group(
    arguments: Mapping[str, Any], fields: TorchFields | FlatFields, step: int
) -> dict[str, Any]:
    """Return a group's keys and values in PyTorch's words; schedules are read at ``step``."""
    group = {name: plain(value, step) for name, value in arguments.items() if name not in _OURS}
    if "max_eval" in group and group["max_eval"] is None:
        group["max_eval"] = group["max_iter"] * 5 // 4  # as torch.optim.LBFGS fills it in
    return {**group, **{name: _SWITCHES[name] for name in fields.switches}}


def plain(value: Any, step: int) -> Any:
    """Return an argument as Python's number, switch or word; a schedule's value at ``step``."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (tuple, list)) and not isinstance(value, Complement):
        return tuple(plain(each, step) for each in value)
    number = value_at(value, step)
    if isinstance(number, Complement):
        return 1 - float(number.one_minus)
    return float(number)


def exact(nominal: Any, held: Any) -> Any:
    """Return numbers of a state with the digits of the call's, where float32 cut them."""
    if isinstance(held, tuple) and isinstance(nominal, tuple) and len(held) == len(nominal):
        return tuple(map(exact, nominal, held))
    return nominal if is_same(nominal, held) else held


def is_same(own: Any, other: Any, rel_tol: float = 0.0) -> bool:
    """Return whether two values are equal as far as float32 can tell."""
    if isinstance(own, tuple) or isinstance(other, tuple):
        pair = isinstance(own, tuple) and isinstance(other, tuple) and len(own) == len(other)
        return pair and all(is_same(*each, rel_tol) for each in zip(own, other, strict=True))
    if any(value is None or isinstance(value, (bool, str)) for value in (own, other)):
        return type(own) is type(other) and own == other
    with np.errstate(all="ignore"):
        return bool(np.float32(own) == np.float32(other)) or math.isclose(
            own, other, rel_tol=rel_tol
        )


def given_value(name: str, value: Any) -> Any:
    """Return what PyTorch's group holds as Python's number, switch, word or a tuple of them.

    Raises:
        TypeError: It is something else.
        ValueError: It is not a number but NaN.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (tuple, list)):
        return tuple(given_value(f"{name}[{i}]", each) for i, each in enumerate(value))
    array = host_array(name, value)
    if array.size != 1:
        raise ValueError(f"{name} must be one number, got an array of shape {array.shape}")
    number = array.reshape(()).item()
    if number != number:
        raise ValueError(f"{name} is NaN, expected a number")
    return number
