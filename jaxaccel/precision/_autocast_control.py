"""Control flow in a region: inner functions are transformed, and handed to JAX's own transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import jax
from jax.core import eval_jaxpr

from jaxaccel._equations import by_platform, in_scope
from jaxaccel._math import widest
from jaxaccel.precision._autocast_casts import Value, arrays_in, is_eligible
from jaxaccel.precision._autocast_composites import Reader
from jaxaccel.precision._autocast_custom import run_custom_jvp, run_custom_vjp
from jaxaccel.precision._autocast_inner import inner, values_of

Structure = Callable[[Reader, Any, list[Value]], list[Value]]


def structure_of(equation: Any) -> Structure | None:
    """Return how an equation is run that holds functions; None for another one."""
    return _STRUCTURES.get(equation.primitive.name)


def _run_jit(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a compiled function, transformed once for each jaxpr and kind of its operands."""
    closed, params = equation.params["jaxpr"], equation.params
    function = inner(reader, closed.jaxpr, closed.consts, operands, params["name"])
    arrays = _placed([value.array for value in operands], params.get("in_shardings"))
    with in_scope(equation):
        results = function.compiled(*closed.consts, *arrays)
    return function.described(_placed(results, params.get("out_shardings")))


def _placed(arrays: Sequence[Any], shardings: Any) -> list[Any]:
    """Return arrays where a compiled function was told to have them."""
    if shardings is None or len(shardings) != len(arrays):
        return list(arrays)
    return [
        jax.lax.with_sharding_constraint(array, sharding)
        if isinstance(sharding, jax.sharding.Sharding)
        else array
        for array, sharding in zip(arrays, shardings, strict=True)
    ]


def _run_call(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a call that is neither compiled nor differentiated by itself."""
    called = equation.params["call_jaxpr"]
    jaxpr, consts = (called.jaxpr, called.consts) if hasattr(called, "consts") else (called, ())
    with in_scope(equation):
        return reader.run(jaxpr, consts, operands)


class _TooNarrowError(Exception):
    """A loop's body returned something wider than what it was given."""

    def __init__(self, dtypes: list[Any]):
        super().__init__()
        self.dtypes = dtypes


def _carried(values: Sequence[Value], dtypes: Sequence[Any]) -> list[Any]:
    """Return what a loop carries, in its dtypes; ask for wider ones where it does not fit."""
    own = [getattr(value.array, "dtype", None) for value in values]
    wider = [
        widest(a, b) if is_eligible(a) and is_eligible(b) else b
        for a, b in zip(own, dtypes, strict=True)
    ]
    if wider != list(dtypes):
        raise _TooNarrowError(wider)
    return arrays_in(values, dtypes)


def _with_carry(
    equation: Any, carry: Sequence[Value], loop: Callable[[list[Any], list[Any]], Any]
) -> Any:
    """Run a loop with the narrowest dtypes that what it carries fits: a fixed point."""
    dtypes = [getattr(value.array, "dtype", None) for value in carry]
    while True:
        given = arrays_in(carry, dtypes)
        try:
            with in_scope(equation):
                return loop(given, dtypes)
        except _TooNarrowError as error:
            dtypes = error.dtypes


def _run_scan(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a scan: what it carries is as wide as what goes in or comes back, stacks as they come."""
    params = equation.params
    closed, start = params["jaxpr"], params["num_consts"]
    middle = start + params["num_carry"]
    consts, xs = operands[:start], operands[middle:]

    def loop(initial: list[Any], dtypes: list[Any]) -> Any:
        def body(carry: list[Any], x: list[Any]) -> Any:
            given = [*consts, *values_of(carry), *values_of(x, like=xs)]
            results = reader.run(closed.jaxpr, closed.consts, given)
            count = len(dtypes)
            return _carried(results[:count], dtypes), [each.array for each in results[count:]]

        return jax.lax.scan(
            body,
            initial,
            [value.array for value in xs],
            length=params["length"],
            reverse=params["reverse"],
            unroll=params["unroll"],
        )

    carry, stacked = _with_carry(equation, operands[start:middle], loop)
    return values_of([*carry, *stacked])


def _run_while(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a while loop, as a scan."""
    params = equation.params
    test, body = params["cond_jaxpr"], params["body_jaxpr"]
    middle = params["cond_nconsts"]
    start = middle + params["body_nconsts"]
    test_consts, body_consts = operands[:middle], operands[middle:start]

    def loop(initial: list[Any], dtypes: list[Any]) -> Any:
        def holds(carry: list[Any]) -> Any:
            return reader.run(test.jaxpr, test.consts, [*test_consts, *values_of(carry)])[0].array

        def step(carry: list[Any]) -> list[Any]:
            given = [*body_consts, *values_of(carry)]
            return _carried(reader.run(body.jaxpr, body.consts, given), dtypes)

        return jax.lax.while_loop(holds, step, initial)

    return values_of(_with_carry(equation, operands[start:], loop))


def _run_cond(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a choice: each branch's results are cast to the widest of all branches'."""
    index, *given = operands
    arrays = [value.array for value in given]

    def traced(branch: Any) -> Any:
        def run(*arrays: Any) -> list[Any]:
            values = values_of(arrays, like=given)
            return [value.array for value in reader.run(branch.jaxpr, branch.consts, values)]

        return jax.make_jaxpr(run)(*arrays)

    with in_scope(equation):
        branches = [traced(branch) for branch in equation.params["branches"]]
        dtypes = [
            widest(*each) if all(map(is_eligible, each)) else None
            for each in zip(*([a.dtype for a in b.out_avals] for b in branches), strict=True)
        ]

        def unified(branch: Any) -> Any:
            def run(*arrays: Any) -> list[Any]:
                results = eval_jaxpr(branch.jaxpr, branch.consts, *arrays)
                return arrays_in(map(Value, results), dtypes)

            return run

        functions = [unified(branch) for branch in branches]
        platforms = equation.params.get("branches_platforms")
        if platforms is None:
            return values_of(jax.lax.switch(index.array, functions, *arrays))
        return values_of(by_platform(platforms, functions, arrays))


def _run_remat(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a function of which nothing is kept for the way back."""
    params = equation.params
    function = inner(reader, params["jaxpr"], (), operands, "checkpoint")
    wrapped = jax.checkpoint(
        function.call, prevent_cse=params["prevent_cse"], policy=params["policy"]
    )
    with in_scope(equation):
        return function.described(wrapped(*(value.array for value in operands)))


def _run_shard_map(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a function of each device's own part."""
    params = equation.params

    def run(*arrays: Any) -> tuple[Any, ...]:
        values = values_of(arrays, like=operands)
        return tuple(value.array for value in reader.run(params["jaxpr"], (), values))

    mapped = jax.shard_map(
        run,
        mesh=params["mesh"],
        in_specs=tuple(params["in_specs"]),
        out_specs=tuple(params["out_specs"]),
        axis_names=set(params["newly_manual_axes"]),
        check_vma=params["check_vma"],
    )
    with in_scope(equation):
        return values_of(mapped(*(value.array for value in operands)))


_STRUCTURES: Final[dict[str, Structure]] = {
    "jit": _run_jit,
    "closed_call": _run_call,
    "core_call": _run_call,
    "scan": _run_scan,
    "while": _run_while,
    "cond": _run_cond,
    "remat2": _run_remat,
    "shard_map": _run_shard_map,
    "custom_jvp_call": run_custom_jvp,
    "custom_vjp_call": run_custom_vjp,
}
