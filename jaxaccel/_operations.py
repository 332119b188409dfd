"""The mark that says 'this is PyTorch's softmax', seen where a function's operations are read.

Outside :func:`region` a marked function is the plain one. Inside it is one equation of the traced
program, a ``jit`` whose name no ``def`` can carry, which holds the function twice: in float32, and
in the region's half precision. Whoever reads the program takes one of the two, and nothing of the
mark gets into what is compiled.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxaccel._gradient import varying_like

F = TypeVar("F", bound=Callable[..., Any])

_MARK: Final = "jaxaccel op: "
_WIDE: Final = "jaxaccel body: float32"
_LOW: Final = "jaxaccel body: low"
_FACTS: Final = "_facts_of_operation"
_NAMES: Final[set[str]] = set()

HALVES = tuple(map(jnp.dtype, (jnp.bfloat16, jnp.float16)))
ELIGIBLE = (*HALVES, jnp.dtype(jnp.float32))
"""What autocast casts: float64, integers, bools, complex numbers and keys pass, as in PyTorch."""

# Part of the keys of JAX's caches: what was traced without marks is traced anew with them.
_dtype_of_region = jax.make_user_context(default_value=None)
_names_results = jax.make_user_context(default_value=False)


def region(dtype: Any) -> AbstractContextManager[Any]:
    """Return the context in which functions are traced with their marks; None for without."""
    return _dtype_of_region(None if dtype is None else jnp.dtype(dtype))


def named_results() -> AbstractContextManager[Any]:
    """Return the context in which the results of operations have PyTorch's names of them.

    As ``jax.ad_checkpoint.checkpoint_name`` gives names, for the policies of checkpoints.
    """
    return _names_results(True)


def names_of_results() -> frozenset[str]:
    """Return the names that results of this package's functions may have."""
    import_module(f"{__name__.partition('.')[0]}.functional")
    return frozenset(_NAMES)


def functions_without_names() -> frozenset[str]:
    """Return this package's functions whose results have no name, or another one."""
    functional = import_module(f"{__name__.partition('.')[0]}.functional")
    found = {each for each in functional.__all__ if not isinstance(getattr(functional, each), type)}
    return frozenset(found - _NAMES)


class Operation(NamedTuple):
    """A mark in a traced program: one operation of PyTorch's."""

    name: str
    """PyTorch's, as in the lists of ``torch.amp``."""
    wide: ClosedJaxpr | None
    """All in float32; None where no list asks for it."""
    low: ClosedJaxpr | None
    """What counts in half precision; None where no list asks for it."""
    decides: tuple[int, ...]
    """The operands that :attr:`low` has in half precision, by position: what counts."""


def operation_of(equation: JaxprEqn) -> Operation | None:
    """Return the mark that an equation is, or None for another equation.

    Both bodies take the equation's operands in its order, each in the dtype of their own variables,
    and return its results in the dtypes in which they come. What was differentiated inside a region
    has the body that its derivative took, or none that is whole, and is not a mark then.
    """
    name = equation.params.get("name") if equation.primitive.name == "jit" else None
    if not isinstance(name, str) or not name.startswith(_MARK):
        return None
    bodies = {inner.params.get("name"): inner for inner in equation.params["jaxpr"].jaxpr.eqns}
    wide, low = (_body(bodies.get(each), equation) for each in (_WIDE, _LOW))
    if wide is None and low is None:
        return None
    decides = () if low is None else _positions(low, lambda dtype: dtype in HALVES)
    if wide is not None:
        is_wide = _positions(wide, lambda dtype: dtype not in HALVES)
        decides = tuple(position for position in decides if position in is_wide)
    return Operation(name.removeprefix(_MARK), wide, low, decides)


def _body(inner: JaxprEqn | None, outer: JaxprEqn) -> ClosedJaxpr | None:
    """Return a body, if it is whole."""
    counts = None if inner is None else (len(inner.invars), len(inner.outvars))
    is_whole = counts == (len(outer.invars), len(outer.outvars))
    return inner.params["jaxpr"] if inner is not None and is_whole else None


def _positions(body: ClosedJaxpr, fits: Callable[[Any], bool]) -> tuple[int, ...]:
    """Return which operands of a body have a dtype that fits."""
    return tuple(i for i, aval in enumerate(body.in_avals) if fits(aval.dtype))


class _Facts(NamedTuple):
    """What stands with a marked function."""

    function: Callable[..., Any]
    name: str | Callable[[Mapping[str, Any]], str | None]
    low: tuple[str, ...] | None
    has_wide: bool


def operation(
    name: str | Callable[[Mapping[str, Any]], str | None],
    low: Sequence[str] | None = ("input",),
    has_wide: bool = True,
    names: Sequence[str] = (),
) -> Callable[[F], F]:
    """Mark a function as one operation of PyTorch's.

    Args:
        name: PyTorch's, as in the lists of ``torch.amp``; or from the arguments, None for no mark.
        low: The arguments that count: whose dtype the result takes where no list names the
            operation, and that are cast where it is one of lower precision. None for all, () for
            an operation that all lists have in float32.
        has_wide: Whether it ever runs in float32; not so for those that all lists have in lower
            precision.
        names: All that ``name`` makes of arguments.
    """
    _NAMES.update([name] if isinstance(name, str) else names)

    def mark(function: F) -> F:
        facts = _Facts(function, name, None if low is None else tuple(low), has_wide)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            return marked(facts, args, kwargs) if sees_marks() else function(*args, **kwargs)

        setattr(call, _FACTS, facts)
        return cast(F, call)

    return mark


def facts_of(function: Callable[..., Any]) -> _Facts | None:
    """Return what stands with a marked function; None for another one."""
    return getattr(function, _FACTS, None)


def in_region() -> bool:
    """Return whether marks are asked for here."""
    return _dtype_of_region.value is not None


def sees_marks() -> bool:
    """Return whether a marked function is anything but the plain one here."""
    return _dtype_of_region.value is not None or _names_results.value


def marked(facts: _Facts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return a marked function's value, as one equation or under its name, as is asked for here."""
    arguments = inspect.signature(facts.function).bind(*args, **kwargs).arguments
    name = facts.name if isinstance(facts.name, str) else facts.name(arguments)
    result = _equation(facts, name, arguments, args, kwargs)
    if name is None or not _names_results.value:
        return result
    from jax.ad_checkpoint import checkpoint_name  # which jax itself does not load

    return jax.tree.map(lambda array: checkpoint_name(array, name), result)


def _equation(
    facts: _Facts,
    name: str | None,
    arguments: Mapping[str, Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
) -> Any:
    """Return a marked function's value, inside a region as one equation of the program."""
    if not in_region():
        return facts.function(*args, **kwargs)
    leaves, tree = jax.tree.flatten((args, dict(kwargs)))
    is_array = tuple(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves)
    arrays = [leaf for leaf, is_one in zip(leaves, is_array, strict=True) if is_one]
    floats = {a.dtype for a in arrays if jnp.issubdtype(a.dtype, jnp.inexact)}
    if name is None or not floats or not floats <= {*ELIGIBLE}:
        return facts.function(*args, **kwargs)
    counting = _counting(facts, arguments)
    static = tuple(None if is_one else leaf for leaf, is_one in zip(leaves, is_array, strict=True))
    counts = tuple(id(array) in counting if counting is not None else True for array in arrays)
    key = tuple(map(type, static))  # 1, 1.0 and True are equal
    return _jit(facts, name, tree, is_array, static, key, counts)(*arrays)


def _counting(facts: _Facts, arguments: Mapping[str, Any]) -> set[int] | None:
    """Return the ids of the arrays that count, None for all."""
    if facts.low is None:
        return None
    return {id(leaf) for name in facts.low for leaf in jax.tree.leaves(arguments.get(name))}


@functools.lru_cache(maxsize=4096)
def _jit(
    facts: _Facts,
    name: str,
    tree: Any,
    is_array: tuple[bool, ...],
    static: tuple[Any, ...],
    _: tuple[type, ...],
    counts: tuple[bool, ...],
) -> Callable[..., Any]:
    """Return the mark of a function with these static arguments; a new one would be traced anew."""

    def plain(*arrays: Any) -> Any:
        given = iter(arrays)
        leaves = [
            next(given) if is_one else leaf for is_one, leaf in zip(is_array, static, strict=True)
        ]
        args, kwargs = jax.tree.unflatten(tree, leaves)
        with region(None):
            return facts.function(*args, **kwargs)

    wide, low = compiled_as(_WIDE, plain), compiled_as(_LOW, plain)

    def both(*arrays: Any) -> Any:
        dtype, results = _dtype_of_region.value, []
        # Before any cast: what devices share has a gradient that they sum, in float32 so.
        arrays = tuple(functools.reduce(_varying, arrays, array) for array in arrays)
        if facts.has_wide:
            results.append(wide(*(_as(array, jnp.float32) for array in arrays)))
        if facts.low != ():
            pairs = zip(arrays, counts, strict=True)
            results.append(low(*(_as(array, dtype) if one else array for array, one in pairs)))
        return _as_traced(plain, arrays, results[0], facts.has_wide)

    return compiled_as(_MARK + name, both)


def _varying(array: Any, like: Any) -> Any:
    """Return an array as each device's own where another one is, inside ``shard_map``."""
    return varying_like(like, array)


def _as_traced(plain: Callable[..., Any], arrays: Any, results: Any, is_wide: bool) -> Any:
    """Return results in the plain function's dtypes, which the program around the mark reads."""
    if any(array.dtype in HALVES for array in arrays):
        own = jax.eval_shape(plain, *arrays)
        return jax.tree.map(lambda result, like: result.astype(like.dtype), results, own)
    if is_wide:
        return results
    return jax.tree.map(lambda result: _as(result, jnp.float32), results)


def compiled_as(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function compiled under a name, which no ``def`` can carry if it has a blank."""

    def call(*arrays: Any) -> Any:
        return function(*arrays)

    call.__name__ = name
    return jax.jit(call)


def _as(array: Any, dtype: Any) -> Any:
    """Return an array that autocast casts in a dtype, others as they are."""
    return array.astype(dtype) if array.dtype in ELIGIBLE else array
