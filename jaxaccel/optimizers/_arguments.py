"""Which arguments of an optimizer are numbers: the annotations of its factory say it."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeAlias

from jaxaccel._types import Number

Kind: TypeAlias = Any
"""A :class:`Number`, a tuple of them for an argument that is one, or None."""


def number_kinds(optimizer: Callable[..., Any]) -> dict[str, Kind]:
    """Return {name: kind} of the arguments that are annotated as numbers.

    Raises:
        TypeError: No argument is, or the annotations cannot be read.
    """
    function = optimizer
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__name__", repr(function))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"the annotations of {name} cannot be read: {error}; import what they name at the top "
            "of its module, and not under TYPE_CHECKING"
        ) from error
    except TypeError:  # a callable without annotations of its own
        hints = {}
    kinds = {each: _kind(hints.get(each)) for each in inspect.signature(optimizer).parameters}
    if not any(kinds.values()):
        raise TypeError(
            f"{name} does not say which of its arguments are numbers, so none can be scheduled or "
            f"set; annotate them: def {name}(lr: ja.optimizers.Hyperparameter = ..., "
            "beta: ja.optimizers.DecayFactor = ...). A factory of another library is called inside "
            "one that does"
        )
    return {each: kind for each, kind in kinds.items() if kind}


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
