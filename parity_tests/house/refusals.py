"""How a refusal is judged: it is ours, and names the argument and the value."""

import math
import re
import traceback
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np

import jaxaccel as ja
from jaxaccel._call_repr import in_brief
from parity_tests.house.wrong_values import OWN_TEXTS, ROLES

CUT = 50
"""Characters that a text shows of what prints long."""

LIBRARY = str(Path(ja.__file__).parent)


def names(text, argument):
    """Return whether a text names an argument; a letter must not be taken for a word."""
    forms = (
        f"'{argument}'",
        f"{argument}=",
        f"needs {argument},",
        f"got {argument} twice",
        f"{argument} must",
        f"{argument} as",
    )
    is_word = len(argument) > 2 and re.search(rf"\b{re.escape(argument)}\b", text)
    return bool(is_word) or any(form in text for form in (*forms, ROLES.get(argument, forms[0])))


def refusal_of(call, argument, value, function=""):
    """Return what is wrong with how a call refuses a value; None where it is as it should be."""
    try:
        call()
    except Exception as error:
        *_, last = traceback.walk_tb(error.__traceback__)
        where = f"{Path(last[0].f_code.co_filename).name}:{last[1]}"
        line = traceback.extract_tb(error.__traceback__)[-1].line
        if not last[0].f_code.co_filename.startswith(LIBRARY) or not line.startswith("raise"):
            return f"is refused by {where} and not by us: {type(error).__name__}: {error}"
        if str(error).startswith(OWN_TEXTS.get(function, ())):
            return None
        if not isinstance(error, (TypeError, ValueError)):
            return f"is refused with {type(error).__name__}: {error}"
        if not names(str(error), argument):
            return f"is refused without the argument's name ({where}): {error}"
        if not any(word in str(error) for word in words_of(value)):
            return f"is refused without the value ({where}): {error}"
        return None
    return "is accepted"


PLACES = (
    "got",
    "got:",
    "Got",
    "mode",
    "not",
    "found",
    "type",
    "is a",
    "model",
    "function",
    "not a",
)


def words_of(value):
    """Yield how a value, or the first thing in it, may be named in a text; the usual way first."""
    kind = type(value).__name__
    if kind == "str":
        yield from (value, " str", "'str'")
        return
    # "must be int or None" says None of an argument, and not of a value.
    written = repr(value)
    yield from ["=None"] if value is None else [in_brief(value), written, str(value)]
    if len(written) > CUT:
        yield written[:CUT]
    yield str(type(value))
    yield from (f"{place} {word}" for place in PLACES for word in (kind, written))
    if kind == "float" and math.isfinite(value) and value == int(value):
        yield str(int(value))
    items = [*value] if isinstance(value, (list, np.ndarray)) and np.ndim(value) else []
    items += value.values() if isinstance(value, Mapping) else ()
    for item in items:
        yield from (repr(item), f"'{item}'", f"got {item}", f"of type {type(item).__name__}")
    if isinstance(value, (np.ndarray, jax.Array)):
        yield f"got shape {value.shape}"
