"""What is said of a call that does not fit: which argument, what it was, and what to write."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxaccel._call_repr import in_brief
from jaxaccel._kinds import ANYTHING, Kind, MisfitError, found_instead
from jaxaccel._remedies import (
    is_too_large,
    left_out_first,
    remedy_for_value,
    remedy_for_word,
)
from jaxaccel._uncalled import is_plateau

_EMPTY = inspect.Parameter.empty
BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments(NamedTuple):
    """The kinds of a function's arguments."""

    by_position: list[Kind]
    by_name: Mapping[str, Kind]
    others: Kind
    """Of ``*args``."""
    most: float
    """How many arguments may be given by position."""
    meant: Mapping[str, Kind]
    """By name, those that the body refuses by itself among them."""


class Named(dict[str, Kind]):
    """The kinds by name; other names are those of ``**kwargs``."""

    others: Kind = ANYTHING

    def __missing__(self, name: str) -> Kind:
        return self.others


def refusal_of(
    function: Callable[..., Any],
    arguments: Arguments,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[str, Any, Exception, bool]:
    """Return the first value that is not of its argument's kind, and what is said of it.

    The error's first line is as PyTorch's own for what it has in C++.

    Returns:
        The argument's name, the value, the error, and whether it says more than a body can.
    """
    by_position = [each.name for each in _parameters(function) if each.kind in BY_POSITION]
    for name, value, kind in given_to(function, arguments, args, kwargs):
        try:
            kind.fit(value)
        except MisfitError:
            if (kind.element or kind).is_number and is_too_large(value):
                text = "Overflow when unpacking long long"
                error = ValueError(f"{text}: {name} is too large, got {value!r:.80}")
                return name, value, error, False
            place = (
                by_position.index(name) + (not _is_method(function)) if name in by_position else 0
            )
            position = f" (position {place})" if place else ""
            swapped = _swapped(function, arguments, args, kwargs, name)
            remedy = swapped or remedy_for_value(
                function, name, kind.what, value, place == 1, kind.made_by
            )
            text = (
                f"{owner_of(function, args)}(): argument '{name}'{position} must be {kind.what}, "
                f"{found_instead(kind, value)}\n"
                f"Got {in_brief(value)}; {remedy or f'give {kind.what}'}"
            )
            says_more = swapped is not None or is_plateau(value)
            says_more = says_more or left_out_first(function, value) is not None
            return name, value, TypeError(text), says_more
    raise AssertionError("every value fits")


def _swapped(
    function: Callable[..., Any],
    arguments: Arguments,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    name: str,
) -> str | None:
    """Return how a call is written, where an argument and another one are in each other's place."""
    given = {each: value for each, value, _ in given_to(function, arguments, args, kwargs)}
    kinds, value = arguments.meant, given[name]
    for other, there in given.items():
        is_theirs = kinds[other].fits(value) and kinds[name].fits(there)
        if other != name and is_theirs and not kinds[other].fits(there):
            names = [each for each in given if each != "self"]
            call = f"{owner_of(function, args)}({', '.join(names)})"
            return f"{name} and {other} are in each other's place: {call}"
    return None


def given_to(
    function: Callable[..., Any],
    arguments: Arguments,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> list[tuple[str, Any, Kind]]:
    """Return the name, value and kind of each argument of a call."""
    parameters = _parameters(function)
    by_position = [each.name for each in parameters if each.kind in BY_POSITION]
    several = [each.name for each in parameters if each.kind is each.VAR_POSITIONAL]
    names = [*by_position, *several * len(args)]
    kinds = [*arguments.by_position, *[arguments.others] * len(args)]
    given = [*zip(names, args, kinds, strict=False)]
    return given + [(name, value, arguments.by_name[name]) for name, value in kwargs.items()]


def unbound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> TypeError | None:
    """Return the error for a call that does not fit the signature, or None for one that does."""
    parameters, owner = _parameters(function), owner_of(function, args)
    is_method = _is_method(function)
    names = [each.name for each in parameters if each.kind in BY_POSITION]
    has = {each.kind for each in parameters}
    call = f"{owner}({', '.join(map(str, _written(parameters[is_method:])))})"
    known = {*names, *(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)}
    for name, value in kwargs.items():
        if name not in known and inspect.Parameter.VAR_KEYWORD not in has:
            remedy = remedy_for_word(function, name, known)
            return TypeError(
                f"{owner}() has no argument '{name}', got {name}={in_brief(value)}; "
                f"{remedy or f'it is {call}'}"
            )
    if len(args) > len(names) and inspect.Parameter.VAR_POSITIONAL not in has:
        extra = args[len(names)]
        takes = ", ".join(names[is_method:]) or "none"
        left_out = " (PyTorch's inplace is left out here)" if isinstance(extra, bool) else ""
        remedy = f"give others by name: {call}"
        if str(function.__annotations__.get("return", "")).startswith("Callable"):
            remedy = f"give them to the function that it returns: {owner}({takes})(...)"
        return TypeError(
            f"{owner}() takes {len(names) - is_method} arguments by position ({takes}), "
            f"got one more: {in_brief(extra)}{left_out}; {remedy}"
        )
    for name, value in zip(names, args, strict=False):
        if name in kwargs:
            return TypeError(
                f"{owner}() got {name} twice: {in_brief(value)} by position and "
                f"{name}={in_brief(kwargs[name])}; leave one out"
            )
    given = {*names[: len(args)], *kwargs}
    for each in parameters:
        if each.name in known - given and each.default is _EMPTY:
            remedy = remedy_for_value(function, each.name, "", None, False)
            return TypeError(
                f"{owner}() needs {each.name}, which is missing: {call}"
                + (f"; {remedy}" if remedy else "")
            )
    return None


@functools.lru_cache(maxsize=64)
def _parameters(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    """Return what a function takes; asked several times for each refusal."""
    return tuple(inspect.signature(function).parameters.values())


def _is_method(function: Callable[..., Any]) -> bool:
    """Return whether a function is a class' own: a constructor, a layer's call, another method."""
    return "." in function.__qualname__.rpartition("<locals>.")[2]


def owner_of(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what the user has called: a function, or the class of a layer."""
    if not _is_method(function) or not args:
        return function.__name__
    owner, name = type(args[0]).__name__, function.__name__
    return owner if name.startswith("__") else f"{owner}.{name}"


def _written(parameters: Sequence[inspect.Parameter]) -> typing.Iterator[str]:
    """Yield parameters as a call may name them, without their annotations."""
    may_be_by_position = True
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and may_be_by_position:
            yield "*"
        if each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL):
            may_be_by_position = False
        yield str(each.replace(annotation=_EMPTY))
