"""Into the iteration of a loop in which something stops being finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr

from jaxaccel.monitoring._inside import opened
from jaxaccel.monitoring._scope import NAN, Scope


class Loop(NamedTuple):
    """A loop, and how to look into one of its iterations."""

    first_bad: Callable[[int, int], int | None]
    """Result and kind -> the first iteration after which it is of this kind."""
    at: Callable[[int], Scope]
    """Iteration -> its program."""
    operand: Callable[[int], int | None]
    """Input of an iteration -> operand of the loop, None where the loop carries it."""
    carried: Callable[[int], int | None]
    """Input of an iteration -> the result that carries it to the next one, None for others."""
    start: Callable[[int], int]
    """Carried result -> operand that it starts from."""


def loop_of(scope: Scope, index: int) -> Loop | None:
    """Return the loop that an operation is, None for another one."""
    make = {"scan": _scan, "while": _while}.get(scope.jaxpr.eqns[index].primitive.name)
    return None if make is None else make(scope, scope.jaxpr.eqns[index], scope.operands(index))


def _is_bad(array: Any, kind: int) -> jax.Array:
    """Return whether an array holds anything of a kind."""
    if not jnp.issubdtype(array.dtype, jnp.inexact):
        return jnp.asarray(False)
    array = array.astype(jnp.float32) if array.dtype.itemsize == 1 else array
    return jnp.any(jnp.isnan(array) if kind == NAN else jnp.isinf(array))


def _scan(scope: Scope, equation: Any, operands: list[Any]) -> Loop:
    """Return a scan, whose iterations are counted as they run and named by what they read."""
    params = equation.params
    body, length = params["jaxpr"], params["length"]
    first = params["num_consts"]
    end = first + params["num_carry"]

    def step(consts: Any, carry: Any, x: Any) -> Any:
        results = eval_jaxpr(body.jaxpr, body.consts, *consts, *carry, *x)
        return results[: len(carry)], results[len(carry) :]

    def ordered(xs: Any) -> list[Any]:
        return [jnp.flip(x, 0) if params["reverse"] else x for x in xs]

    def first_bad(result: int, kind: int) -> int | None:
        def call(*given: Any) -> list[Any]:
            def one(carry: Any, x: Any) -> Any:
                carry, ys = step(given[:first], carry, x)
                return carry, _is_bad([*carry, *ys][result], kind)

            start, xs = list(given[first:end]), ordered(given[end:])
            return [jax.lax.scan(one, start, xs, length)[1].astype(jnp.int32)]

        return _first(scope.on_host(scope.run(call, operands, equation.invars)[0]))

    def at(iteration: int) -> Scope:
        def call(*given: Any) -> list[Any]:
            def one(carry: Any, x: Any) -> Any:
                return step(given[:first], carry, x)[0], None

            xs = ordered(given[end:])
            before = [x[:iteration] for x in xs]
            carry = jax.lax.scan(one, list(given[first:end]), before, iteration)[0]
            return [*given[:first], *carry, *(x[iteration] for x in xs)]

        number = length - 1 - iteration if params["reverse"] else iteration
        arrays = scope.run(call, operands, equation.invars)
        inner = opened(scope, equation, body, arrays, equation.invars[:first])
        return inner._replace(iterations=(*scope.iterations, number))

    return _made(first_bad, at, len(body.consts), first, end, 0)


def _while(scope: Scope, equation: Any, operands: list[Any]) -> Loop:
    """Return a while loop."""
    params = equation.params
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    middle = params["cond_nconsts"]
    first = middle + params["body_nconsts"]

    def run(given: Any, goes_on: Callable[[Any, Any], Any]) -> Any:
        def holds(state: Any) -> Any:
            count, carry = state
            (is_on,) = eval_jaxpr(test.jaxpr, test.consts, *given[:middle], *carry)
            return is_on & goes_on(count, carry)

        def step(state: Any) -> Any:
            count, carry = state
            results = eval_jaxpr(body.jaxpr, body.consts, *given[middle:first], *carry)
            return count + 1, results

        return jax.lax.while_loop(holds, step, (jnp.int32(0), list(given[first:])))

    def first_bad(result: int, kind: int) -> int | None:
        def call(*given: Any) -> list[Any]:
            count, carry = run(given, lambda _, carry: ~_is_bad(carry[result], kind))
            is_bad = _is_bad(carry[result], kind)
            return [jnp.where(is_bad, count - 1, jnp.int32(-1))]

        found = np.asarray(scope.run(call, operands, equation.invars)[0]).max()
        return None if found < 0 else int(found)

    def at(iteration: int) -> Scope:
        def call(*given: Any) -> list[Any]:
            carry = run(given, lambda count, _: count < iteration)[1]
            return [*given[middle:first], *carry]

        arrays = scope.run(call, operands, equation.invars)
        inner = opened(scope, equation, body, arrays, equation.invars[middle:first])
        return inner._replace(iterations=(*scope.iterations, iteration))

    return _made(first_bad, at, len(body.consts), first - middle, None, middle)


def _first(flags: np.ndarray) -> int | None:
    """Return where the first flag is that is set."""
    (places,) = np.nonzero(flags)
    return int(places[0]) if len(places) else None


def _made(first_bad: Any, at: Any, consts: int, first: int, end: int | None, skipped: int) -> Loop:
    """Return a loop whose body takes constants, what it carries, and what it reads.

    Args:
        first_bad: As in :class:`Loop`.
        at: As in :class:`Loop`.
        consts: How many constants the body has of its own, before all others.
        first: Where in the others the carried ones begin.
        end: Where they end; None for the end.
        skipped: How many operands of the loop the body does not take.
    """

    def is_carried(given: int) -> bool:
        return given - consts >= first and (end is None or given - consts < end)

    def operand(given: int) -> int | None:
        return None if given < consts or is_carried(given) else given - consts + skipped

    def carried(given: int) -> int | None:
        return given - consts - first if is_carried(given) else None

    return Loop(first_bad, at, operand, carried, lambda result: first + skipped + result)
