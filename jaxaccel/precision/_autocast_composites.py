"""Composites as PyTorch's single operations: our own by their marks, others' by their frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol, Self

import jax.numpy as jnp
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import ClosedJaxpr, Jaxpr

from jaxaccel._equations import in_scope
from jaxaccel._gradient import varying_over
from jaxaccel._operations import Operation
from jaxaccel.precision._autocast_casts import (
    Value,
    cast,
    cast_array,
    counting,
    is_floating,
    is_half,
    value_of,
    widen,
)
from jaxaccel.precision._autocast_ops import CastClass, cast_class
from jaxaccel.precision._autocast_plan import Step
from jaxaccel.precision._autocast_region import Region
from jaxaccel.precision._autocast_rules import as_traced
from jaxaccel.precision._float8 import float8_linear


class Reader(Protocol):
    """Who reads a program: ``_autocast_interpret``'s."""

    @property
    def region(self) -> Region:
        """The region that it reads for."""
        ...

    def run(
        self, jaxpr: Jaxpr, consts: Sequence[Any], values: Sequence[Value], grouped: bool = True
    ) -> list[Value]:
        """Return the results of a program."""
        ...

    def _replace(self, *, region: Region) -> Self:
        """Return the reader in another region."""
        ...


def class_of(region: Region, name: str) -> CastClass | None:
    """Return what the lists say of an operation; in a region that is off, nothing."""
    named = cast_class(region.device_type, name) if region.enabled else None
    if named == "raises":
        raise RuntimeError(
            "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast."
            "\nUse binary_cross_entropy_with_logits, or compute the loss inside "
            "precision.autocast(..., enabled=False) on precision.to(x, jnp.float32)"
        )
    return named


# --- our own ------------------------------------------------------------------------------------


def run_operation(
    reader: Reader, step: Step, operation: Operation, operands: list[Value]
) -> list[Value]:
    """Return the results of a marked function, from the one of its bodies that fits.

    The body is evaluated in place: inside a ``jit``, differentiation would find another program.
    """
    if not reader.region.enabled:
        body: Any = operation.wide or operation.low  # in a region that is off both are in float32
        return _as_main(operands, _in_place(step, body, operands), has_one_dtype=False)
    named = class_of(reader.region, operation.name)
    if named == "composed" and operation.wide is not None:
        with in_scope(step.equation):
            own = _placed(operation.wide, operands)
            return reader.run(operation.wide.jaxpr, operation.wide.consts, own)
    is_low = named == "lower"
    if named not in ("lower", "float32", "float32 by output"):
        is_low = _are_half(operation, operands)
    if named == "lower" and operation.name == "linear" and reader.region.product is not None:
        own = _placed(operation.low, operands)
        arrays = [cast(value, reader.region.dtype).array for value in own]
        return [value_of(float8_linear(reader.region.product, *arrays))]
    body = operation.low if is_low else operation.wide
    if body is None:
        body = operation.wide or operation.low
    assert body is not None
    arrays = _in_place(step, body, operands)
    if named in ("lower", "float32", "float32 by output") or is_low:
        return [value_of(array) for array in arrays]
    return _as_operand(operation, operands, arrays)


def _are_half(operation: Operation, operands: Sequence[Value]) -> bool:
    """Return whether what counts is in the half precision that a body was traced in."""
    if operation.low is None or not operation.decides:
        return False
    low = [operation.low.in_avals[i].dtype for i in operation.decides]
    own = [operands[i].array.dtype for i in operation.decides]
    return all(a == b for a, b in zip(own, low, strict=True))


def _as_operand(
    operation: Operation, operands: Sequence[Value], arrays: Sequence[Any]
) -> list[Value]:
    """Return float32 results in the dtype of what counts, those that half precision would give."""
    if operation.low is None or not operation.decides:
        return [value_of(array) for array in arrays]
    dtypes = [operands[i].array.dtype for i in operation.decides]
    dtype = max(dtypes, key=lambda each: jnp.dtype(each).itemsize)
    is_low = [is_half(aval) for aval in operation.low.out_avals]
    return [
        value_of(cast_array(array, dtype) if low else array)
        for array, low in zip(arrays, is_low, strict=True)
    ]


def _in_place(step: Step, body: ClosedJaxpr, operands: Sequence[Value]) -> list[Any]:
    """Evaluate a body on the operands, in the scope of the step."""
    given = [
        cast(value, aval.dtype) if is_floating(value) else value
        for value, aval in zip(_placed(body, operands), body.in_avals, strict=True)
    ]
    with in_scope(step.equation):
        return eval_jaxpr(body.jaxpr, body.consts, *(value.array for value in given))


def _placed(body: ClosedJaxpr | None, operands: Sequence[Value]) -> list[Value]:
    """Return operands as each device's own where a body has them so, inside ``shard_map``."""
    assert body is not None
    return [
        value._replace(array=varying_over(aval.manual_axis_type.varying, value.array))
        for value, aval in zip(operands, body.in_avals, strict=True)
    ]


# --- others' ------------------------------------------------------------------------------------


def run_composite(reader: Reader, step: Step, operands: list[Value]) -> list[Value]:
    """Return the results of a composite that was recognised by its source."""
    composite = step.composite
    assert composite is not None
    program = step.program
    named = class_of(reader.region, composite.operation)
    if named == "lower":
        # What is not a product runs by cuda's list inside: a softmax's pieces are in float32 there.
        dtype = reader.region.dtype
        inner = reader._replace(region=reader.region._replace(device_type="cuda"))
        given = [cast(value, dtype) for value in operands]
        return [cast(value, dtype) for value in inner.run(program, (), given, grouped=False)]
    arrays = eval_jaxpr(program, (), *as_traced(program.invars, operands))
    if named in ("float32", "float32 by output"):
        return [widen(value_of(array)) for array in arrays]
    return _as_main(operands, arrays, composite.is_reduction)


def _as_main(operands: Sequence[Value], arrays: Sequence[Any], has_one_dtype: bool) -> list[Value]:
    """Return float32 results in the dtype of the operand that counts, those of its axes or all."""
    main, is_only = _main(operands), len(arrays) == 1
    if main is None:
        return [value_of(array) for array in arrays]
    return [
        value_of(cast_array(array, main.array.dtype))
        if has_one_dtype or is_only or sorted(np.shape(array)) == sorted(np.shape(main.array))
        else value_of(array)
        for array in arrays
    ]


def _main(operands: Sequence[Value]) -> Value | None:
    """Return the operand that counts: the largest, since statistics may come before it."""
    return max(counting(operands), key=lambda each: math.prod(np.shape(each.array)), default=None)
