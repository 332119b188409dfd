"""What one primitive does in a region: the dtypes of its operands, by PyTorch's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import Jaxpr

from jaxaccel._equations import program
from jaxaccel.precision._autocast_casts import (
    Value,
    arrays_in,
    cast,
    cast_array,
    grows,
    is_eligible,
    is_floating,
    is_half,
    spread,
    value_of,
    widen,
    widest_of,
)
from jaxaccel.precision._autocast_ops import cast_class
from jaxaccel.precision._autocast_plan import Step
from jaxaccel.precision._autocast_primitives import (
    AS_TRACED,
    EACH,
    FOLLOW,
    KEEPS_NUMBERS,
    LOWER,
    PRIMITIVES,
    PRODUCTS,
    ROUND_ONCE,
    SCALES,
    STRETCHES,
    STRUCTURE,
    WIDE,
    Meaning,
)
from jaxaccel.precision._autocast_region import Region
from jaxaccel.precision._float8 import float8_dot_general

_UNKNOWN = Meaning(None, AS_TRACED)

_BY_CLASS = {
    "lower": LOWER,
    "float32": WIDE,
    "float32 by output": WIDE,
    "widest": FOLLOW,
    "keep": ROUND_ONCE,
}


def rule_of(region: Region, equation: Any, operands: Sequence[Value]) -> str:
    """Return what happens to the operands of an equation."""
    meaning = PRIMITIVES.get(equation.primitive.name, _UNKNOWN)
    operation = meaning.operation
    if equation.primitive.name == "div" and np.ndim(operands[0].array) == 0:
        operation = "reciprocal"
    if equation.primitive.name == "add" and _is_bias_added(operands):
        operation = "linear"
    if not region.enabled or operation is None or _has_double(operands):
        return meaning.otherwise
    named = cast_class(region.device_type, operation)
    return meaning.otherwise if named is None else _BY_CLASS[named]


def _has_double(operands: Sequence[Value]) -> bool:
    """Return whether an operand has a dtype that autocast leaves alone."""
    dtypes = [getattr(value.array, "dtype", None) for value in operands]
    return any(
        dtype is not None and jnp.issubdtype(dtype, jnp.inexact) and not is_eligible(dtype)
        for dtype in dtypes
    )


def run_primitive(region: Region, step: Step, operands: list[Value]) -> list[Value]:
    """Return the results of one equation."""
    equation = step.equation
    rule = rule_of(region, equation, operands)
    if rule in (AS_TRACED, STRUCTURE):
        arrays = _evaluated(step, as_traced(equation.invars, operands))
    elif rule == EACH:
        arrays = _bound(step, operands)
    elif rule in (WIDE, ROUND_ONCE):
        arrays = _bound(step, [widen(value) for value in operands])
        dtype = widest_of(operands)
        if rule == ROUND_ONCE and dtype is not None:
            arrays = [cast_array(array, dtype) for array in arrays]
    elif rule == LOWER and region.product is not None and equation.primitive.name == "dot_general":
        lhs, rhs = (cast(value, region.dtype).array for value in operands)
        dims = equation.params["dimension_numbers"]
        arrays = [float8_dot_general(lhs, rhs, dims, region.product)]
    else:
        dtype = region.dtype if rule == LOWER else widest_of(operands)
        arrays = _followed(step, operands, dtype)
    return _described(step, operands, arrays)


def as_traced(atoms: Sequence[Any], operands: Sequence[Value]) -> list[Any]:
    """Return operands in the dtypes that the program was traced with."""
    return arrays_in(operands, (getattr(atom.aval, "dtype", None) for atom in atoms))


def _followed(step: Step, operands: list[Value], dtype: Any) -> list[Any]:
    """Return the results in one dtype of all operands that autocast casts."""
    equation = step.equation
    name, params = equation.primitive.name, equation.params
    if dtype is None:
        return _bound(step, operands)
    if name == "convert_element_type":
        return [_converted(equation, operands[0])]
    if name == "broadcast_in_dim" and _is_summed_back(operands[0], params["shape"]):
        given = widen(operands[0])
        return [cast_array(array, dtype) for array in _bound(step, [given])]
    if name in SCALES and dtype != jnp.float32 and _has_fine_number(operands, dtype):
        arrays = _bound(step, [widen(value) for value in operands])
        return [cast_array(array, dtype) for array in arrays]
    if name in PRODUCTS or name == "weight_gradient":
        params = _low_params(params, dtype, equation)
    if (update := params.get("update_jaxpr")) is not None:
        params = {**params, "update_jaxpr": _update_in(update, dtype)}
    shape = equation.outvars[0].aval.shape if name in STRETCHES else ()
    given = [
        spread(value, shape, dtype)
        if dtype != jnp.float32 and _is_stretched(value, shape)
        else cast(value, dtype)
        for value in operands
    ]
    return _bound(step, given, params)


def _update_in(update: Jaxpr, dtype: Any) -> Jaxpr:
    """Return how a scatter joins two numbers, for numbers of another dtype."""
    numbers = [jax.ShapeDtypeStruct((), dtype) for _ in update.invars]
    return jax.make_jaxpr(lambda *given: eval_jaxpr(update, (), *given))(*numbers).jaxpr


def _has_fine_number(operands: Sequence[Value], dtype: Any) -> bool:
    """Return whether an operand is a number with more digits than an array's dtype holds.

    PyTorch multiplies half precision by it in float32, and rounds the product alone.
    """
    return any(
        value.is_weak
        and np.ndim(value.array) == 0
        and (
            not isinstance(value.array, np.ndarray | np.generic)
            or value.array.astype(dtype) != value.array
        )
        for value in operands
        if is_floating(value)
    )


def _converted(equation: Any, value: Value) -> Any:
    """Return an explicit cast's result; one that changed nothing while tracing changes nothing."""
    before, after = equation.invars[0].aval.dtype, equation.params["new_dtype"]
    return value.array if before == after else cast(value, after).array


def _is_summed_back(value: Value, shape: tuple[int, ...]) -> bool:
    """Return whether a broadcast's gradient would be a sum in half precision."""
    is_half = is_floating(value) and value.array.dtype != jnp.float32
    return is_half and not value.is_weak and grows(np.shape(value.array), shape)


def _is_stretched(value: Value, shape: tuple[int, ...]) -> bool:
    """Return whether an operation repeats an operand along axes of length 1."""
    own = np.shape(value.array)
    return bool(own) and len(own) == len(shape) and own != shape and is_floating(value)


def _low_params(params: Mapping[str, Any], dtype: Any, equation: Any) -> dict[str, Any]:
    """Return a product's parameters without what fits float32 alone."""
    changed = dict(params)
    if "preferred_element_type" in changed:
        declared, asked = equation.invars[0].aval.dtype, changed["preferred_element_type"]
        changed["preferred_element_type"] = asked if declared != jnp.float32 else dtype
    if not isinstance(changed.get("precision"), tuple | None):
        changed["precision"] = None
    if changed.get("like") is not None:
        changed["like"] = changed["like"].update(dtype=jnp.dtype(dtype))
    return changed


def _bound(
    step: Step, operands: Sequence[Value], params: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the results of an equation, in its scope and with its source."""
    return _evaluated(step, [value.array for value in operands], params)


def _evaluated(
    step: Step, arrays: Sequence[Any], params: Mapping[str, Any] | None = None
) -> list[Any]:
    """Return the results of an equation of arrays."""
    equation, runs = step.equation, step.program
    if params is not None and params is not equation.params:
        equation = equation.replace(params=dict(params))
        runs = program(runs.invars, runs.outvars, [equation])
    return eval_jaxpr(runs, (), *arrays)


def _is_bias_added(operands: Sequence[Value]) -> bool:
    """Return whether an addition is a product's plus a vector along its last axis."""
    first, second = operands
    if second.is_product:
        first, second = second, first
    return first.is_product and second.is_vector and not first.is_vector


def _described(step: Step, operands: Sequence[Value], arrays: Sequence[Any]) -> list[Value]:
    """Return results as values, with what is known of them."""
    equation = step.equation
    name = equation.primitive.name
    if name not in KEEPS_NUMBERS:
        floats = [value for value in operands if is_floating(value)]
        is_weak = bool(floats) and all(value.is_weak for value in floats)
        return [value_of(a, is_weak, is_product=name in PRODUCTS and is_half(a)) for a in arrays]
    (value, *_), (array,) = operands, arrays
    is_weak = value.is_weak or getattr(value.array, "dtype", None) in (jnp.bool_,)  # 0 or 1
    is_vector = value.is_vector and _is_along_features(equation)
    is_product = value.is_product and name != "broadcast_in_dim" and is_half(array)
    return [value_of(array, is_weak, is_vector, is_product)]


def _is_along_features(equation: Any) -> bool:
    """Return whether a vector stays one: along the last axis, or the only one but the first."""
    before, after = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    if not before or not after:
        return False
    longer = [axis for axis, size in enumerate(after) if size != 1]
    return before[-1] == after[-1] or len(before) > 1 or (len(longer) == 1 and longer[0] > 0)
