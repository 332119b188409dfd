"""What the annotation of an argument says: the kind of its values."""

from __future__ import annotations

import collections.abc as abc
import inspect
import types
import typing
from collections.abc import Iterable
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.core import Tracer

from jaxaccel._arrays import has_numbers
from jaxaccel._kinds import (
    ANYTHING,
    ARRAY,
    BOOL,
    FLOAT,
    FUNCTION,
    HYPERPARAMETER,
    INT,
    NONE,
    SCALAR,
    TEXT,
    WHOLE,
    Kind,
    MisfitError,
    misfit,
)
from jaxaccel._types import Generator, Meant, Number, Schedule, is_generator

_OF_CLASS: dict[Any, Kind] = {
    bool: BOOL,
    int: INT,
    float: FLOAT,
    str: TEXT,
    jax.Array: ARRAY,
    np.ndarray: ARRAY,
    np.integer: WHOLE,
    np.number: FLOAT,
    type(None): NONE,
    Any: ANYTHING,
    object: ANYTHING,
}
_SCALARS = (float, np.number, np.ndarray, jax.Array)

_NAMES = {
    jax.sharding.Mesh: "jax.sharding.Mesh",
    jax.sharding.AbstractMesh: "jax.sharding.AbstractMesh",
    nnx.Module: "nnx.Module",
    nnx.Rngs: "nnx.Rngs",
    Generator: "jaxaccel.random.Generator",
    Schedule: "schedule (a function of the step)",
}
"""Classes -> how a user writes them, where that is not their own name."""


def kind_of(annotation: Any) -> Kind:
    """Return the kind of value that an annotation, resolved, stands for."""
    if annotation in _OF_CLASS:
        return _OF_CLASS[annotation]
    if isinstance(annotation, typing.TypeVar):
        return kind_of(annotation.__bound__ or Any)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _marked(arguments[0], annotation.__metadata__)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if origin is typing.Literal:
        return _literal(arguments)
    if origin is tuple and ... not in arguments:
        return _tuple([kind_of(each) for each in arguments])
    if origin in (abc.Mapping, dict):
        return _mapping(kind_of(arguments[1]))
    if origin in (abc.Sequence, abc.Iterable, list, tuple):
        return _several(kind_of(arguments[0]), origin is abc.Iterable)
    if origin is abc.Callable:
        return FUNCTION
    return _instance(origin or annotation)


def _marked(annotation: Any, marks: tuple[Any, ...]) -> Kind:
    """Return the kind that a mark says, else the annotation's own."""
    for mark in marks:
        if isinstance(mark, Number):
            return HYPERPARAMETER
        if isinstance(mark, Meant):
            return _meant(mark)
    return kind_of(annotation)


def _meant(mark: Meant) -> Kind:
    """Return the kind of what a mark describes."""
    return Kind(mark.what, set(), lambda value: value if mark.fits(value) else misfit(value))


def _union(members: tuple[Any, ...]) -> Kind:
    """Return the kind of what fits one of several; a number of any make is one member."""
    if set(_SCALARS) <= set(members):
        kinds = [SCALAR, *(kind_of(each) for each in members if each not in _SCALARS)]
    else:
        kinds = [kind_of(each) for each in members]
    if ANYTHING in kinds:
        return ANYTHING
    element = next((kind.element for kind in kinds if kind.element is not None), None)
    # PyTorch does not say that one number stands for a tuple, nor an array for a number.
    implied = [*([element] if INT is element or FLOAT is element else []), NONE]
    implied += [ARRAY] if FLOAT in kinds else []
    said = [kind.what for kind in kinds if kind not in implied] + ["None"] * (NONE in kinds)
    # What is taken as it is comes first: arrays before sequences of numbers.
    kinds.sort(key=lambda kind: kind is not ARRAY)

    def take(value: Any) -> Any:
        for kind in kinds:
            try:
                return kind.fit(value)
            except MisfitError:
                pass
        raise MisfitError

    types_ = set[type]().union(*(kind.types for kind in kinds))
    is_number = any(kind.is_number for kind in kinds)
    made_by = next((kind.made_by for kind in kinds if kind.made_by is not None), None)
    return Kind(" or ".join(dict.fromkeys(said)), types_, take, element, is_number, made_by)


def _literal(words: tuple[Any, ...]) -> Kind:
    """Return the kind of a few words; which they are the function says, with PyTorch's text."""
    return Kind(" or ".join(map(repr, words)), {type(word) for word in words}, misfit)


def _several(kind: Kind, is_iterable: bool) -> Kind:
    """Return the kind of a sequence, or of what is iterated over and not looked into."""

    def take(value: Any) -> Any:
        if isinstance(value, (str, bytes, abc.Mapping, np.ma.MaskedArray)):
            raise MisfitError
        if isinstance(value, (np.ndarray, jax.Array)) and value.ndim == 1:
            if not has_numbers(value.dtype) or value.dtype.kind not in "iuf":
                raise MisfitError
            kind.fit(value.dtype.type(0))
            is_known = not isinstance(value, Tracer)
            return tuple(value.tolist()) if is_known and kind.is_number else value
        if not isinstance(value, (list, tuple)):
            wanted = abc.Iterable if is_iterable else abc.Sequence
            if isinstance(value, nnx.Variable) or (
                isinstance(value, (np.ndarray, jax.Array))
                and (isinstance(value, Tracer) or not value.ndim)
            ):
                raise MisfitError  # iterated over on the host, where it has no axes, or no numbers
            return value if isinstance(value, wanted) else misfit(value)
        return _rebuilt(value, map(kind.fit, value))

    what = "tuple" if kind.is_number else "a list or tuple"
    what = "an iterable" if is_iterable else what
    what = what if kind is ANYTHING else f"{what} of {_plural(kind.what)}"
    return Kind(what, set(), take, None if kind is ANYTHING else kind)


def _tuple(kinds: list[Kind]) -> Kind:
    """Return the kind of a tuple, or list, of so many values."""

    def take(value: Any) -> Any:
        if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
            raise MisfitError
        return _rebuilt(value, (kind.fit(each) for kind, each in zip(kinds, value, strict=True)))

    words = list(dict.fromkeys(kind.what for kind in kinds))
    what = f"each {words[0]}" if len(words) == 1 else f"of {', '.join(words)}"
    return Kind(f"tuple of {len(kinds)}, {what}", set(), take)


def _rebuilt(old: Any, new: Iterable[Any]) -> Any:
    """Return a list or tuple of what its values became; itself where they stayed."""
    values = list(new)
    if all(each is other for each, other in zip(values, old, strict=True)):
        return old
    return values if isinstance(old, list) else tuple(values)


def _mapping(kind: Kind) -> Kind:
    """Return the kind of a mapping whose values are of a kind."""

    def take(value: Any) -> Any:
        if not isinstance(value, abc.Mapping):
            raise MisfitError
        for each in value.values():
            kind.fit(each)
        return value

    what = "a mapping"
    return Kind(what if kind is ANYTHING else f"{what} to {_plural(kind.what)}", set(), take)


def _instance(cls: Any) -> Kind:
    """Return the kind of a class' instances; of a protocol, of what can be called."""
    if getattr(cls, "_is_protocol", False) and not getattr(cls, "_is_runtime_protocol", False):
        return FUNCTION if hasattr(cls, "__call__") else ANYTHING  # noqa: B004
    if not inspect.isclass(cls):
        return ANYTHING

    def take(value: Any) -> Any:
        if not isinstance(value, cls) or (cls is abc.Sized and not _has_length(value)):
            raise MisfitError
        return value

    if cls is Generator:
        return _meant(Meant(_NAMES[cls], is_generator))
    package = cls.__module__.partition(".")[0]
    name = cls.__name__ if package in ("jaxaccel", "builtins") else f"{package}.{cls.__name__}"
    return Kind(_NAMES.get(cls, name), set(), take, made_by=cls)


def _has_length(value: Any) -> bool:
    """Return whether something holds so many items: no text, no array without axes."""
    axes = getattr(value, "ndim", 1)  # nnx.Rngs has whatever it is asked for
    return not isinstance(value, (str, bytes)) and isinstance(axes, int) and axes > 0


def _plural(what: str) -> str:
    """Return the plural of what is said in words."""
    plurals = {"str": "texts", "an array": "arrays", "a mapping": "mappings", "array": "arrays"}
    words = what.split(" or ")
    return " or ".join(
        plurals.get(word, word if " " in word or word == "None" else f"{word}s") for word in words
    )
