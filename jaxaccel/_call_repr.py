"""What a factory returns prints, and pickles as, the call that made it."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

from jaxaccel._tree import brief
from jaxaccel._uncalled import says_call_it

P = ParamSpec("P")
R = TypeVar("R")

LONGEST = 80
"""Arguments of more characters than this are cut."""


def shows_call(factory: Callable[P, R]) -> Callable[P, R]:
    """Let the functions that ``factory`` returns print as ``adamw(lr=0.1)``, and be pickled so.

    It returns a NamedTuple of functions (an optax transformation) or a ``functools.partial``;
    what comes back is an instance of the same class.
    """

    @functools.wraps(factory)
    def make(*args: P.args, **kwargs: P.kwargs) -> R:
        made: Any = factory(*args, **kwargs)
        if isinstance(made, functools.partial):
            shown = _printing(functools.partial)(made.func, *made.args, **made.keywords)
        else:
            kind = type(made)
            shown = _printing(vars(kind).get("_printed", kind))._make(made)
        shown.call = (make, args, kwargs)
        # Of a factory that leaves all to another one, as adamw does to adam, the other's call.
        shown.own_call = getattr(made, "own_call", shown.call)
        return shown

    if "Transformation" in str(factory.__annotations__.get("return", "")):
        says_call_it(make)
    return make


@functools.cache
def _printing(kind: Any) -> Any:
    """Return a subclass whose instances print the call that made them."""

    def text(self: Any) -> str:
        call = vars(self).get("call")  # a copy by ``_replace`` has none
        return kind.__repr__(self) if call is None else _text(*call)

    def reduced(self: Any, protocol: int) -> Any:
        call = vars(self).get("call")  # the functions inside cannot be pickled, their call can
        return kind.__reduce_ex__(self, protocol) if call is None else (_called, call)

    return type(
        kind.__name__,
        (kind,),
        {
            "__module__": kind.__module__,
            "__doc__": kind.__doc__,
            "__repr__": text,
            "__reduce_ex__": reduced,
            "_printed": kind,
        },
    )


def _called(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a call returns: how one is read back from a pickle."""
    return factory(*args, **kwargs)


def _text(factory: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return a call as it could be written down."""
    signature = inspect.signature(factory)
    shown = []
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            shown += [f"{key}={in_brief(item)}" for key, item in value.items()]
        else:
            shown.append(f"{name}={in_brief(value)}")
    return f"{factory.__name__}({', '.join(shown)})"


def in_brief(value: Any) -> str:
    """Return an argument in brief: functions by name, arrays by shape."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {in_brief(item)}" for key, item in value.items()) + "}"
    if type(value) in (tuple, list):
        items = ", ".join(map(in_brief, value))
        return f"[{items}]" if isinstance(value, list) else f"({items}{',' * (len(value) == 1)})"
    if hasattr(value, "call"):
        return repr(value)
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    is_array = hasattr(value, "dtype") and isinstance(getattr(value, "shape", None), tuple)
    text = brief(value) if is_array else repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
