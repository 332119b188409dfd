"""What the annotations of an optimizer's factory say: which arguments are numbers, and more."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from jaxaccel._types import Number

Kind: TypeAlias = Any
"""A :class:`Number`, a tuple of them for an argument that is one, or None."""


class Indivisible(NamedTuple):
    """What the annotation of a factory's result says: its parameters move as one vector."""

    refusal: str
    """What somebody is told who divides them into groups."""


def check_divisible(optimizer: Callable[..., Any]) -> None:
    """Raise for an optimizer whose parameters cannot be divided into groups."""
    result = _annotations(optimizer).get("return")
    for mark in getattr(result, "__metadata__", ()):
        if isinstance(mark, Indivisible):
            raise ValueError(mark.refusal)


def number_kinds(optimizer: Callable[..., Any]) -> dict[str, Kind]:
    """Return {name: kind} of the arguments that are annotated as numbers.

    Raises:
        TypeError: No argument is, or the annotations cannot be read.
    """
    name = _name(_function(optimizer))
    hints = _annotations(optimizer)
    kinds = {each: _kind(hints.get(each)) for each in inspect.signature(optimizer).parameters}
    if not any(kinds.values()):
        raise TypeError(
            f"{name} does not say which of its arguments are numbers, so none can be scheduled or "
            f"set; annotate them: def {name}(lr: ja.optimizers.Hyperparameter = ..., "
            "beta: ja.optimizers.DecayFactor = ...). A factory of another library is called inside "
            "one that does"
        )
    return {each: kind for each, kind in kinds.items() if kind}


def _function(optimizer: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a partial call is of."""
    while isinstance(optimizer, functools.partial):
        optimizer = optimizer.func
    return optimizer


def _name(function: Callable[..., Any]) -> str:
    """Return what a function is called."""
    return getattr(function, "__name__", repr(function))


def _annotations(optimizer: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a factory, or of what a partial call is of."""
    function = _function(optimizer)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"the annotations of {_name(function)} cannot be read: {error}; import what they name "
            "at the top of its module, and not under TYPE_CHECKING"
        ) from error
    except TypeError:  # a callable without annotations of its own
        return {}


def _kind(annotation: Any) -> Kind:
    """Return what an annotation says; None when it does not speak of a number."""
    marks = (each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Number))
    if mark := next(marks, None):
        return mark
    kinds = tuple(map(_kind, typing.get_args(annotation)))
    if (
        typing.get_origin(annotation) is tuple
        and any(kinds)
        and ... not in typing.get_args(annotation)
    ):
        return kinds
    return next(filter(None, kinds), None)
