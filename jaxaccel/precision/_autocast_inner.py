"""Inner functions of a program, transformed once for each jaxpr, region and kinds of operands."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr

from jaxaccel.precision._autocast_casts import Value, dtypes_of, value_of
from jaxaccel.precision._autocast_composites import Reader


class Inner(NamedTuple):
    """A transformed inner function."""

    call: Callable[..., tuple[Any, ...]]
    """``(*consts, *arrays) -> arrays``."""
    compiled: Callable[..., tuple[Any, ...]]
    """The same, compiled under the function's own name."""
    found: list[Value]
    """What is known of the results, from the latest trace; their arrays are left out."""

    def described(self, arrays: Sequence[Any]) -> list[Value]:
        """Return results as values."""
        return [
            known._replace(array=array) for known, array in zip(self.found, arrays, strict=True)
        ]


_inners: weakref.WeakKeyDictionary[Jaxpr, dict[Any, Inner]] = weakref.WeakKeyDictionary()


def inner(
    reader: Reader, jaxpr: Jaxpr, consts: Sequence[Any], operands: Sequence[Value], name: str
) -> Inner:
    """Return a transformed function, which takes the jaxpr's constants before the operands."""
    known = tuple(value._replace(array=None) for value in operands)
    key = (reader, dtypes_of(operands), known, name)
    functions = _inners.setdefault(jaxpr, {})
    if key not in functions:
        functions[key] = _transformed(reader, weakref.ref(jaxpr), len(consts), known, name)
    return functions[key]


def _transformed(
    reader: Reader,
    jaxpr: weakref.ref[Jaxpr],
    count: int,
    known: tuple[Value, ...],
    name: str,
) -> Inner:
    """Return a transformed function, which does not keep the jaxpr that is the cache's key."""
    found: list[Value] = []

    def call(*arrays: Any) -> tuple[Any, ...]:
        own = jaxpr()
        assert own is not None, "traced while its equation is read"
        values = [
            each._replace(array=array) for each, array in zip(known, arrays[count:], strict=True)
        ]
        results = reader.run(own, arrays[:count], values)
        found[:] = [value._replace(array=None) for value in results]
        return tuple(value.array for value in results)

    call.__name__ = name
    return Inner(call, jax.jit(call), found)


def values_of(arrays: Sequence[Any], like: Sequence[Value] | None = None) -> list[Value]:
    """Return arrays as values: with what is known of others, or only that a number is one."""
    if like is None:
        return [value_of(array) for array in arrays]
    return [
        value_of(array, value.is_weak, value.is_vector)
        for value, array in zip(like, arrays, strict=True)
    ]
