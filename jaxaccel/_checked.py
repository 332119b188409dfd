"""The decorator of public functions: a call's arguments are what their annotations say."""

from __future__ import annotations

import dis
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from jaxaccel._annotations import kind_of
from jaxaccel._donated import check_not_donated
from jaxaccel._kinds import ANYTHING, Kind, MisfitError
from jaxaccel._operations import facts_of, marked, sees_marks
from jaxaccel._refused_calls import (
    BY_POSITION,
    Arguments,
    Named,
    given_to,
    owner_of,
    refusal_of,
    unbound,
)
from jaxaccel._traced_numbers import traced_refusal

F = TypeVar("F", bound=Callable[..., Any])

_PACKAGE = __name__.partition(".")[0] + "."
_RAISE = dis.opmap["RAISE_VARARGS"]


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
    arguments: Arguments | None = None
    facts = facts_of(function)
    if facts is not None:  # marked here, without a call in between
        function = cast(F, facts.function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal arguments
        if arguments is None:
            arguments = _arguments(function, by_body)
        if len(args) > arguments.most:
            raise unbound(function, args, kwargs) or AssertionError
        try:
            given = [
                value if type(value) in kind.types else kind.take(value)
                for value, kind in zip(args, arguments.by_position, strict=False)
            ]
            if len(given) < len(args):
                given += map(arguments.others.fit, args[len(given) :])
            named = {name: arguments.by_name[name].fit(value) for name, value in kwargs.items()}
        except (MisfitError, RuntimeError) as error:
            _check_there(given_to(function, arguments, args, kwargs))
            if isinstance(error, RuntimeError):
                raise
            name, value, refusal, says_more = refusal_of(function, arguments, args, kwargs)
            if body_first and not says_more:
                _let_body_refuse(name, value, function, args, kwargs)
            raise refusal from None
        try:
            if facts is not None and sees_marks():
                return marked(facts, tuple(given), named)
            return function(*given, **named)
        except TypeError as error:
            # The call itself has failed where no frame of the function is in the traceback.
            if error.__traceback__ is None or error.__traceback__.tb_next is not None:
                every = given_to(function, arguments, args, kwargs)
                refusal = traced_refusal(owner_of(function, args), every, error)
                if refusal is None:
                    raise
                raise refusal from error
            if (refusal := unbound(function, args, kwargs)) is None:
                raise
        except RuntimeError:  # of an array that is gone, say, which nobody pays for to be asked
            _check_there(given_to(function, arguments, args, kwargs))
            raise
        raise refusal

    return cast(F, call)


def _check_there(given: list[tuple[str, Any, Kind]]) -> None:
    """Raise for arrays that are gone among the arguments of a call that has failed."""
    for name, value, _ in given:
        if not isinstance(value, Iterator):  # of which JAX warns that it is no tree
            check_not_donated(**{name: value})


def _arguments(function: Callable[..., Any], by_body: tuple[str, ...]) -> Arguments:
    """Read the kinds of a function's arguments off its annotations."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    kinds = {each.name: kind_of(hints.get(each.name, Any)) for each in parameters}
    meant = Named(kinds)
    kinds |= {name: _or_as_it_is(kinds[name]) for name in by_body}
    named, others = Named(kinds), ANYTHING
    for each in parameters:
        if each.kind is each.VAR_POSITIONAL:
            others = kinds[each.name]
        if each.kind is each.VAR_KEYWORD:
            named.others = kinds[each.name]
    by_position = [kinds[each.name] for each in parameters if each.kind in BY_POSITION]
    takes_others = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    most = math.inf if takes_others else len(by_position)
    return Arguments(by_position, named, others, most, meant)


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
        if frame.f_code.co_filename == __file__:
            return  # that names another function, to which the body hands the value on
        is_raised = frame.f_code.co_code[trace.tb_lasti] == _RAISE
        is_ours = frame.f_globals.get("__name__", "").startswith(_PACKAGE)
        words = (repr(value), str(value), type(value).__name__)
        text = str(error)
        named = text.startswith(name) or (name in text and any(word in text for word in words))
        if is_raised and is_ours and named:
            raise
