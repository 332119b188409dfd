"""A program read operation by operation, each cast as the lists of a region say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, Literal

from jaxaccel._equations import number_of
from jaxaccel._operations import operation_of
from jaxaccel.precision._autocast_casts import Value, cast, value_of
from jaxaccel.precision._autocast_composites import run_composite, run_operation
from jaxaccel.precision._autocast_control import structure_of
from jaxaccel.precision._autocast_nested import inner_region_of, visible_cast_of
from jaxaccel.precision._autocast_plan import Step, plan_of
from jaxaccel.precision._autocast_region import Region
from jaxaccel.precision._autocast_rules import run_primitive


class Reader(NamedTuple):
    """Who reads a program: in which region, and what is noted of it."""

    region: Region
    notes: Any = None
    """What :func:`dtype_report` collects, or None."""

    def run(
        self, jaxpr: Jaxpr, consts: Sequence[Any], values: Sequence[Value], grouped: bool = True
    ) -> list[Value]:
        """Return the results of a program; ``grouped`` for composites as one operation each."""
        env: dict[Any, Value] = {}

        def read(atom: Any) -> Value:
            if isinstance(atom, Literal):
                return Value(number_of(atom), is_weak=True)
            return env[atom]

        for variable, const in zip(jaxpr.constvars, consts, strict=True):
            env[variable] = value_of(const)
        env.update(zip(jaxpr.invars, values, strict=True))
        for step in plan_of(jaxpr, grouped):
            operands = [read(atom) for atom in step.operands]
            results = self.step(step, operands)
            if self.notes is not None:
                self.notes.add(self.region, step, operands, results)
            for variable in step.last:
                del env[variable]
            env.update(zip(step.program.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def step(self, step: Step, operands: list[Value]) -> list[Value]:
        """Return the results of one operation."""
        if step.composite is not None:
            return run_composite(self, step, operands)
        equation = step.equation
        if equation.primitive.name == "jit":
            if (operation := operation_of(equation)) is not None:
                return run_operation(self, step, operation, operands)
            closed = equation.params["jaxpr"]
            if (region := inner_region_of(equation)) is not None:
                return self._replace(region=region).run(closed.jaxpr, closed.consts, operands)
            if (dtypes := visible_cast_of(equation)) is not None:
                unnoted = self._replace(notes=None)
                results = unnoted.run(closed.jaxpr, closed.consts, operands)
                return [
                    value if dtype is None else value_of(cast(value, dtype).array)
                    for value, dtype in zip(results, dtypes, strict=True)
                ]
        if (structure := structure_of(equation)) is not None:
            return structure(self, equation, operands)
        return run_primitive(self.region, step, operands)
