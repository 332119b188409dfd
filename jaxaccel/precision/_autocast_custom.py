"""Functions with derivatives of their own, in a region: the rule is transformed as the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._equations import in_scope
from jaxaccel.precision._autocast_casts import Value, cast, cast_array, is_floating, value_of
from jaxaccel.precision._autocast_composites import Reader
from jaxaccel.precision._autocast_inner import inner, values_of


def run_custom_jvp(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a function whose derivative is a rule of tangents."""
    params, closed = equation.params, equation.params["call_jaxpr"]
    function = inner(reader, closed.jaxpr, closed.consts, operands, "custom_jvp")
    count = params["num_consts"]

    def call(*arrays: Any) -> tuple[Any, ...]:
        return function.call(*closed.consts, *arrays)

    whole = jax.custom_jvp(call)

    @whole.defjvp
    def _(primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
        like = jax.eval_shape(call, *primals)
        given = [False] * (len(primals) - count)
        jaxpr, consts, are_zero = params["jvp_jaxpr_fun"].call_wrapped(*given)
        own = values_of(primals[count:], like=operands[count:])
        found = reader.run(jaxpr, consts, [*own, *map(value_of, tangents[count:])])
        results = _all_as(found[: len(like)], like)
        rest = iter(found[len(like) :])
        return results, tuple(
            jnp.zeros_like(result) if is_zero else _as(next(rest), result)
            for result, is_zero in zip(results, are_zero, strict=True)
        )

    with in_scope(equation):
        return function.described(whole(*(value.array for value in operands)))


def run_custom_vjp(reader: Reader, equation: Any, operands: list[Value]) -> list[Value]:
    """Run a function whose derivative is a rule of cotangents."""
    params, closed = equation.params, equation.params["call_jaxpr"]
    function = inner(reader, closed.jaxpr, closed.consts, operands, "custom_vjp")
    count = params["num_consts"]
    constants = [value.array for value in operands[:count]]

    def call(*arrays: Any) -> tuple[Any, ...]:
        return function.call(*closed.consts, *constants, *arrays)

    def forward(*arrays: Any) -> Any:
        like = jax.eval_shape(call, *arrays)
        jaxpr, consts = params["fwd_jaxpr_thunk"].call_wrapped(*[True] * len(arrays))
        found = reader.run(jaxpr, consts, values_of(arrays, like=operands[count:]))
        kept = [value.array for value in found[: -len(like)]]
        return _all_as(found[-len(like) :], like), (kept, arrays)

    def backward(kept: Any, cotangents: Any) -> Any:
        own, arrays = kept
        jaxpr, _ = params["fwd_jaxpr_thunk"].call_wrapped(*[True] * len(arrays))
        residuals = _joined(params, zip(own, jaxpr.out_avals, strict=False), arrays, closed)
        residuals += zip(cotangents, closed.out_avals, strict=True)
        return _run_backward(reader, params["bwd"].call_wrapped, residuals, arrays)

    whole = jax.custom_vjp(call)
    whole.defvjp(forward, backward)
    with in_scope(equation):
        return function.described(whole(*(value.array for value in operands[count:])))


def _joined(params: Any, own: Any, arrays: Sequence[Any], closed: Any) -> list[tuple[Any, Any]]:
    """Return what a rule kept, with the types it was traced in; inputs are not kept twice."""
    inputs = [*zip(arrays, closed.in_avals[params["num_consts"] :], strict=True)]
    return [next(own) if place is None else inputs[place] for place in params["out_trees"]()[2]]


def _run_backward(
    reader: Reader, rule: Callable[..., Any], given: list[tuple[Any, Any]], like: Sequence[Any]
) -> tuple[Any, ...]:
    """Return the cotangents of the arguments: the rule is traced in the dtypes that it expects."""
    has_any: list[bool] = []

    def traced(*arrays: Any) -> list[Any]:
        results = rule(*arrays)
        has_any[:] = [isinstance(result, jax.Array) for result in results]
        return [result for result, is_one in zip(results, has_any, strict=True) if is_one]

    declared = [cast_array(array, aval.dtype) for array, aval in given]
    program = jax.make_jaxpr(traced)(*declared)
    values = [value_of(array) for array, _ in given]
    found = iter(reader.run(program.jaxpr, program.consts, values))
    return tuple(
        _as(next(found), array) if is_one else None
        for is_one, array in zip(has_any, like, strict=True)
    )


def _all_as(values: Sequence[Value], like: Sequence[Any]) -> tuple[Any, ...]:
    """Return values in the dtypes of others."""
    return tuple(_as(value, each) for value, each in zip(values, like, strict=True))


def _as(value: Value, like: Any) -> Any:
    """Return a derivative in the dtype of what it is of."""
    return cast(value, like.dtype).array if is_floating(value) else value.array
