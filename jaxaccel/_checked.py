"""The decorator of public functions: a call's arguments are what their annotations say."""

from __future__ import annotations

import dis
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from jaxaccel._annotations import kind_of
from jaxaccel._call_repr import in_brief
from jaxaccel._kinds import ANYTHING, Kind, MisfitError, found_instead
from jaxaccel._remedies import is_too_large, left_out_first, remedy_for_value, remedy_for_word
from jaxaccel._traced_numbers import traced_refusal

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = __name__.partition(".")[0] + "."
_RAISE = dis.opmap["RAISE_VARARGS"]
_EMPTY = inspect.Parameter.empty
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def checked_but(*names: str) -> Callable[[F], F]:
    """Check as :func:`checked` all but some arguments, which the body refuses in PyTorch's words.

    Those come to the body as everything else where they fit, and as they are where they do not.
    """
    return lambda function: _checked(function, names)


def checked(function: F) -> F:
    """Check the arguments of each call of ``function`` by its annotations, before its body runs.

    What an annotation means is said in ``_annotations``; one that it does not know lets every
    value pass. Annotations are read at the first call. Integers and switches of NumPy come to the
    body as Python's. A bound on a value is the body's own matter.

    Raises:
        TypeError: The call does not fit the signature, or a value is of another kind.
    """
    return _checked(function, ())


def checked_after(function: F) -> F:
    """Check as :func:`checked` a function whose own texts for a wrong value come first.

    For those that do nothing but make something, such as schedules and layers: where a value does
    not fit, the body has its say; what it would accept, or would trip over, is refused here.
    """
    return _checked(function, (), body_first=True)


def _checked(function: F, by_body: tuple[str, ...], body_first: bool = False) -> F:
    """Return the function behind its checks."""
    arguments: _Arguments | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal arguments
        if arguments is None:
            arguments = _arguments(function, by_body)
        if len(args) > arguments.most:
            raise _unbound(function, args, kwargs) or AssertionError
        try:
            given = [
                value if type(value) in kind.types else kind.take(value)
                for value, kind in zip(args, arguments.by_position, strict=False)
            ]
            if len(given) < len(args):
                given += map(arguments.others.fit, args[len(given) :])
            named = {name: arguments.by_name[name].fit(value) for name, value in kwargs.items()}
        except MisfitError:
            name, value, refusal = _refusal(function, arguments, args, kwargs)
            if body_first and not left_out_first(function, value):
                _let_body_refuse(name, value, function, args, kwargs)
            raise refusal from None
        try:
            return function(*given, **named)
        except TypeError as error:
            # The call itself has failed where no frame of the function is in the traceback.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                every = _given(function, arguments, args, kwargs)
                refusal = traced_refusal(_owner(function, args), every, error)
                if refusal is None:
                    raise
                raise refusal from error
            if (refusal := _unbound(function, args, kwargs)) is None:
                raise
        raise refusal

    return cast(F, call)


class _Arguments(NamedTuple):
    """The kinds of a function's arguments."""

    by_position: list[Kind]
    by_name: Mapping[str, Kind]
    others: Kind
    """Of ``*args``."""
    most: float
    """How many arguments may be given by position."""


class _Named(dict[str, Kind]):
    """The kinds by name; other names are those of ``**kwargs``."""

    others: Kind = ANYTHING

    def __missing__(self, name: str) -> Kind:
        return self.others


def _arguments(function: Callable[..., Any], by_body: tuple[str, ...]) -> _Arguments:
    """Read the kinds of a function's arguments off its annotations."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    kinds = {each.name: kind_of(hints.get(each.name, Any)) for each in parameters}
    kinds |= {name: _or_as_it_is(kinds[name]) for name in by_body}
    named, others = _Named(kinds), ANYTHING
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            others = kinds[each.name]
        if each.kind is each.VAR_KEYWORD:
            named.others = kinds[each.name]
    by_position = [kinds[each.name] for each in parameters if each.kind in _BY_POSITION]
    takes_others = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    return _Arguments(by_position, named, others, math.inf if takes_others else len(by_position))


def _or_as_it_is(kind: Kind) -> Kind:
    """Return a kind that hands on what does not fit."""

    def take(value: Any) -> Any:
        try:
            return kind.fit(value)
        except MisfitError:
            return value

    return Kind(kind.what, kind.types, take)


def _let_body_refuse(
    name: str,
    value: Any,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> None:
    """Raise what the library itself says of an argument; nothing where it trips or accepts."""
    try:
        function(*args, **kwargs)
    except Exception as error:
        trace = cast(types.TracebackType, error.__traceback__)
        while trace.tb_next is not None:
            trace = trace.tb_next
        frame = trace.tb_frame  # the innermost one: was it a ``raise`` of ours?
        is_raised = frame.f_code.co_code[trace.tb_lasti] == _RAISE
        is_ours = frame.f_globals.get("__name__", "").startswith(_PACKAGE)
        words = (repr(value), str(value), type(value).__name__)
        text = str(error)
        named = text.startswith(name) or (name in text and any(word in text for word in words))
        if is_raised and is_ours and named:
            raise


# --- texts --------------------------------------------------------------------------------------


def _refusal(
    function: Callable[..., Any],
    arguments: _Arguments,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> tuple[str, Any, Exception]:
    """Return the first value that is not of its argument's kind: name, value and error.

    Its first line is as PyTorch's own for what it has in C++.
    """
    by_position = [each.name for each in _parameters(function) if each.kind in _BY_POSITION]
    for name, value, kind in _given(function, arguments, args, kwargs):
        try:
            kind.fit(value)
        except MisfitError:
            if (kind.element or kind).is_number and is_too_large(value):
                text = "Overflow when unpacking long long"
                return name, value, ValueError(f"{text}: {name} is too large, got {value!r:.80}")
            place = (
                by_position.index(name) + (not _is_method(function)) if name in by_position else 0
            )
            position = f" (position {place})" if place else ""
            remedy = remedy_for_value(function, name, kind.what, value, place == 1)
            return (
                name,
                value,
                TypeError(
                    f"{_owner(function, args)}(): argument '{name}'{position} must be {kind.what}, "
                    f"{found_instead(kind, value)}\n"
                    f"Got {in_brief(value)}; {remedy or f'give {kind.what}'}"
                ),
            )
    raise AssertionError("every value fits")


def _given(
    function: Callable[..., Any],
    arguments: _Arguments,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> list[tuple[str, Any, Kind]]:
    """Return the name, value and kind of each argument of a call."""
    parameters = _parameters(function)
    by_position = [each.name for each in parameters if each.kind in _BY_POSITION]
    several = [each.name for each in parameters if each.kind is each.VAR_POSITIONAL]
    names = [*by_position, *several * len(args)]
    kinds = [*arguments.by_position, *[arguments.others] * len(args)]
    given = [*zip(names, args, kinds, strict=False)]
    return given + [(name, value, arguments.by_name[name]) for name, value in kwargs.items()]


def _unbound(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> TypeError | None:
    """Return the error for a call that does not fit the signature, or None for one that does."""
    parameters, owner = _parameters(function), _owner(function, args)
    is_method = _is_method(function)
    names = [each.name for each in parameters if each.kind in _BY_POSITION]
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
        return TypeError(
            f"{owner}() takes {len(names) - is_method} arguments by position ({takes}), "
            f"got one more: {in_brief(extra)}{left_out}; give others by name: {call}"
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


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what a function takes."""
    return list(inspect.signature(function).parameters.values())


def _is_method(function: Callable[..., Any]) -> bool:
    """Return whether a function is a class' own: a constructor, a layer's call, another method."""
    return "." in function.__qualname__.rpartition("<locals>.")[2]


def _owner(function: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """Return what the user has called: a function, or the class of a layer."""
    if not _is_method(function) or not args:
        return function.__name__
    owner, name = type(args[0]).__name__, function.__name__
    return owner if name.startswith("__") else f"{owner}.{name}"


def _written(parameters: list[inspect.Parameter]) -> typing.Iterator[str]:
    """Yield parameters as a call may name them, without their annotations."""
    may_be_by_position = True
    for each in parameters:
        if each.kind is each.KEYWORD_ONLY and may_be_by_position:
            yield "*"
        if each.kind in (each.KEYWORD_ONLY, each.VAR_POSITIONAL):
            may_be_by_position = False
        yield str(each.replace(annotation=_EMPTY))
