"""The operation in which something stops being finite, however deep it is in a program."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from jaxaccel.monitoring._inside import inside
from jaxaccel.monitoring._loops import loop_of
from jaxaccel.monitoring._scope import INF, NAN, Flow, Origin, Scope, wide


class Birth(NamedTuple):
    """An operation that made what is not finite of what was, or NaN of an infinity."""

    equations: tuple[Any, ...]
    """The operation, behind those that hold it, the outermost first."""
    iterations: tuple[int, ...]
    """Of the loops among those."""
    inputs: tuple[tuple[Any, np.ndarray], ...]
    """Of each operand the type, and how many NaN and infinities it holds."""
    output: tuple[Any, np.ndarray]
    """The same of the first result that is not finite."""
    devices: int | None
    """How many devices ran it, each on arrays of its own."""


class Trail(NamedTuple):
    """Where a value comes from that is not finite."""

    birth: Birth | None = None
    cause: Birth | None = None
    """Of NaN: where the infinity came from of which it was made."""
    given: int | None = None
    """The input of the program that it came with, where it was not born in it."""
    given_cause: int | None = None
    """The input that the infinity came with."""


def trail(scope: Scope, flow: Flow, variable: Any, kind: int) -> Trail:
    """Follow a value that is not finite back to where it became so.

    Args:
        scope: The program.
        flow: What :meth:`Scope.flow` says of it.
        variable: One that is of this kind.
        kind: NaN or infinite.
    """
    origin = flow.origins[kind].get(variable)
    if origin is None:
        return Trail()
    if origin.is_input:
        return Trail(given=origin.at)
    found = _born(scope, flow, origin.at, variable, kind)
    return (
        found if kind == INF or found.cause is not None else _with_cause(scope, flow, origin, found)
    )


def _with_cause(scope: Scope, flow: Flow, origin: Origin, found: Trail) -> Trail:
    """Return a trail of NaN with the infinity that it was made of, if it was."""
    equation = scope.jaxpr.eqns[origin.at]
    atoms = [v for v in equation.invars if not isinstance(v, Literal)]
    if found.given_cause is not None:
        atoms = [equation.invars[found.given_cause]]
    known = {flow.origins[INF][v]: v for v in atoms if v in flow.origins[INF]}
    causes = [
        each for each in known if not each.is_constant and (each.is_input or each.at != origin.at)
    ]
    if not causes:
        return found._replace(given_cause=None)
    first = min(causes, key=lambda each: (not each.is_input, each.at))
    if first.is_input:
        return found._replace(given_cause=first.at)
    return found._replace(
        cause=_born(scope, flow, first.at, known[first], INF).birth, given_cause=None
    )


def _born(scope: Scope, flow: Flow, index: int, variable: Any, kind: int) -> Trail:
    """Return the operation itself, or the one inside it in which it happened."""
    equation = scope.jaxpr.eqns[index]
    own = [v for v in equation.outvars if v in flow.origins[kind]]
    born = [v for v in own if flow.origins[kind][v] == flow.origins[kind].get(variable)]
    result = equation.outvars.index((born or own)[0])
    found = None
    if (loop := loop_of(scope, index)) is not None:
        found = _in_loop(loop, result, kind)
    elif (entered := inside(scope, index)) is not None:
        inner, way = entered
        known = inner.flow()
        found = _mapped(_inner_trail(inner, known, result, kind), way)
    if found is not None and found.birth is not None:
        return found
    return Trail(_birth(scope, index, result))


def _inner_trail(inner: Scope, flow: Flow, result: int, kind: int) -> Trail:
    """Return the trail of a program's result."""
    variable = inner.jaxpr.outvars[result]
    return Trail() if isinstance(variable, Literal) else trail(inner, flow, variable, kind)


def _mapped(found: Trail, way: Any) -> Trail:
    """Return a trail whose inputs are those of the operation that holds the program."""
    return found._replace(
        given=None if found.given is None else way(found.given),
        given_cause=None if found.given_cause is None else way(found.given_cause),
    )


def _in_loop(loop: Any, result: int, kind: int) -> Trail | None:
    """Return where in a loop it happened: in the first iteration that made it."""
    while (iteration := loop.first_bad(result, kind)) is not None:
        inner = loop.at(iteration)
        found = _inner_trail(inner, inner.flow(), result, kind)
        if found.given is not None and (carried := loop.carried(found.given)) is not None:
            if iteration == 0:
                return None
            result = carried
            continue
        cause = found.given_cause
        if cause is not None and (carried := loop.carried(cause)) is not None and kind == NAN:
            earlier = _in_loop(loop, carried, INF)
            if earlier is not None and earlier.birth is not None:
                return found._replace(cause=earlier.birth, given_cause=None)
            return found._replace(given_cause=loop.start(carried))
        return _mapped(found, loop.operand)
    return None


def _birth(scope: Scope, index: int, result: int) -> Birth:
    """Return an operation with what it was given and what it made of it."""
    equation = scope.jaxpr.eqns[index]
    atoms = [*equation.invars, equation.outvars[result]]
    tables = scope.compute(lambda read: [_tally(read(atom)) for atom in atoms], index + 1)
    *inputs, output = (
        (atom.aval, scope.on_host(table, np.add)) for atom, table in zip(atoms, tables, strict=True)
    )
    return Birth((*scope.outer, equation), scope.iterations, tuple(inputs), output, scope.devices)


def _tally(array: jax.Array) -> jax.Array:
    """Return how many NaN and how many infinities an array holds."""
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return jnp.zeros(2, jnp.int32)
    tests = (jnp.isnan, jnp.isinf)
    return jnp.stack([jnp.sum(test(wide(array)), dtype=jnp.int32) for test in tests])
