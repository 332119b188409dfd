"""Every argument of every public function refuses what is wrong, in words that name it.

Only what raises runs: nothing is compiled.
"""

import inspect
import typing

import jax
import numpy as np
import pytest

import jaxaccel as ja
from jaxaccel import _checked
from parity_tests.harness.errors import assert_no_faults
from parity_tests.house.refusals import refusal_of
from parity_tests.house.valid_calls import GENERATOR, parameters, public, valid_arguments
from parity_tests.house.wrong_values import (
    ANYTHING,
    VALUES,
    Stranger,
    fitting,
    parts,
    wrong_values,
)

ROOMS = tuple(ja.__all__)
DATE = np.array(["2020-01-01"], "M8[D]")


def function_faults(name, function):
    """Yield what is wrong with how a function refuses what is wrong."""
    given, missing = valid_arguments(name, function)
    if missing:
        yield name, f"has no valid call: say {', '.join(missing)} in valid_calls.py"
        return
    own = function.__init__ if inspect.isclass(function) else function
    hints = typing.get_type_hints(own, include_extras=True)
    for argument in parameters(function):
        wrong = wrong_values(name, argument, hints.get(argument, typing.Any))
        if bool(wrong) == (f"{name}.{argument}" in ANYTHING):
            yield f"{name}.{argument}", "its annotation says nothing, or ANYTHING explains too much"
        for word, value in wrong.items():
            fault = refusal_of(
                lambda v=value, a=argument: function(**{**given, a: v}), argument, value, name
            )
            if fault:
                yield f"{name}({argument}={word})", fault
    for words, fault in binding_faults(function, given):
        yield f"{name}({words})", fault


def binding_faults(function, given):
    """Yield what is wrong with how a call that does not fit the signature is refused."""
    if not takes_any(function, inspect.Parameter.VAR_KEYWORD):
        for word in ("no_such_argument", "device"):
            fault = refusal_of(lambda w=word: function(**given, **{w: "cpu"}), word, "cpu")
            if fault:
                yield f"{word}=", fault
    positional = [p for p in parameters(function).values() if p.kind is not p.KEYWORD_ONLY]
    if not takes_any(function, inspect.Parameter.VAR_POSITIONAL):
        values = [given.get(p.name, p.default) for p in positional]
        others = {n: v for n, v in given.items() if n not in {p.name for p in positional}}
        extra = Stranger()
        fault = refusal_of(lambda: function(*values, extra, **others), "by position", extra)
        if fault:
            yield "one more", fault
    for name, parameter in parameters(function).items():
        if parameter.default is parameter.empty:
            others = {n: v for n, v in given.items() if n != name}
            fault = refusal_of(lambda others=others: function(**others), name, name)
            if fault:
                yield f"without {name}", fault


def takes_any(function, kind):
    own = function.__init__ if inspect.isclass(function) else function
    return any(each.kind is kind for each in inspect.signature(own).parameters.values())


def test_every_argument_refuses_what_is_wrong():
    assert_no_faults(
        fault
        for name, function in public(ROOMS).items()
        for fault in function_faults(name, function)
    )


def arrays_in(annotation):
    """Yield the parts of an annotation, and of what its tuples hold."""
    for part in parts(annotation):
        if typing.get_origin(part) is tuple:
            for item in typing.get_args(part):
                yield from arrays_in(item)
        yield part


def call_faults(name, layer):
    """Yield what is wrong with how a layer refuses what is not an array, when it is called."""
    given, _ = valid_arguments(name, layer)
    made = layer(**given)
    hints = typing.get_type_hints(layer.__call__, include_extras=True)
    taken = inspect.signature(made).parameters
    needed = [n for n in taken if hints.get(n) is jax.Array]
    # Masks and states may be None, or several arrays.
    optional = [
        n
        for n in taken
        if n not in (*needed, "hx", "lengths") and jax.Array in arrays_in(hints.get(n))
    ]
    words = (
        *("none", "float", "text", "objects", "torch tensor", "object", "mapping"),
        *("class", "package", "iterator", "masked array", "keys"),
    )
    for argument in (*needed, *optional):
        others = {each: np.ones((2, 3), np.float32) for each in needed if each != argument}
        fits = {word for part in parts(hints[argument]) for word in fitting(part)}
        for word in words if argument in needed else set(words[1:]) - fits:
            value = VALUES[word]
            fault = refusal_of(lambda: made(**others, **{argument: value}), argument, value)  # noqa: B023
            if fault:
                yield f"{name}(...)({argument}={word})", fault


def test_recurrent_layers_refuse_lengths_that_are_not_integers():
    x = np.ones((3, 2, 3), np.float32)
    wrong = {w: VALUES[w] for w in ("objects", "array of texts", "masked array", "keys", "texts")}
    wrong |= {"an integer of 100 bits": 10**30, "a nest": [[1, 2], [1, 2]], "a date": DATE}
    for layer in (ja.nn.RNN, ja.nn.LSTM, ja.nn.GRU):
        made = layer(3, 4, rngs=GENERATOR)
        assert_no_faults(
            (f"{layer.__name__}({word})", fault)
            for word, value in wrong.items()
            if (fault := refusal_of(lambda v=value: made(x, lengths=v), "lengths", value))  # noqa: B023
        )


def test_every_layer_refuses_what_is_not_an_array():
    layers = {n: v for n, v in public(("nn",)).items() if inspect.isclass(v)}
    without = {"nn.Sequential", "nn.Identity"}  # take whatever their first layer takes
    faults = {n: [*call_faults(n, v)] for n, v in layers.items() if n not in without}
    assert_no_faults(fault for found in faults.values() for fault in found)


def is_checked(function):
    """Return whether the decorator is among those of a function."""
    while function is not None:
        if function.__code__.co_filename == _checked.__file__:
            return True
        function = getattr(function, "__wrapped__", None)
    return False


@pytest.mark.quick
def test_every_public_function_is_checked():
    functions = {n: f.__init__ if inspect.isclass(f) else f for n, f in public(ROOMS).items()}
    assert_no_faults(
        (name, "is not @checked")
        for name, function in functions.items()
        if not is_checked(function)
    )
