"""How a jaxpr is read: equation by equation, but composites that others wrote as one operation."""

from __future__ import annotations

import warnings
import weakref
from typing import Any, NamedTuple

from jax.extend.core import Jaxpr, JaxprEqn, Var

from jaxaccel._equations import on_variables, program
from jaxaccel.precision._autocast_foreign import Composite
from jaxaccel.precision._autocast_frames import Place, composite_of_function, place_of


class Step(NamedTuple):
    """One operation of a program: an equation, or several that are one in PyTorch."""

    program: Jaxpr
    """The operation alone: its operands are variables, each once or equal."""
    operands: tuple[Any, ...]
    """What it reads, of the whole program: variables and literals."""
    composite: Composite | None
    """What it is, if it is of several equations."""
    last: tuple[Var, ...]
    """What nothing reads after it."""

    @property
    def equation(self) -> Any:
        """The only equation."""
        return self.program.eqns[0]


_NO_TRACEBACKS = (
    "autocast finds no tracebacks, by which it knows composites of JAX, flax and optax (softmax, "
    "LayerNorm, losses): they are cast piece by piece. Switch tracebacks on, or use jaxaccel's own "
    "functions and layers, which need none"
)

_plans: weakref.WeakKeyDictionary[Jaxpr, dict[bool, tuple[Step, ...]]] = weakref.WeakKeyDictionary()


def plan_of(jaxpr: Jaxpr, grouped: bool) -> tuple[Step, ...]:
    """Return the steps of a jaxpr, found once; ``grouped`` for composites as one step each."""
    plans = _plans.setdefault(jaxpr, {})
    if grouped not in plans:
        plans[grouped] = tuple(_steps(jaxpr, grouped))
    return plans[grouped]


def _steps(jaxpr: Jaxpr, grouped: bool) -> list[Step]:
    """Group the equations of a jaxpr, and find what each group reads and returns."""
    groups = _groups(jaxpr) if grouped else [(None, [equation]) for equation in jaxpr.eqns]
    needed = {v for v in jaxpr.outvars if isinstance(v, Var)}
    steps = []
    for place, equations in reversed(groups):
        made = {v for equation in equations for v in equation.outvars}
        if len(equations) == 1:
            results = list(equations[0].outvars)
        else:
            results = [v for equation in equations for v in equation.outvars if v in needed]
        read = dict.fromkeys(
            v
            for equation in equations
            for v in equation.invars
            if isinstance(v, Var) and v not in made
        )
        last = tuple(v for v in read if v not in needed)
        needed = (needed - made) | read.keys()
        steps.append(_step(place and place.composite, equations, list(read), results, last))
    return steps[::-1]


def _step(
    composite: Composite | None,
    equations: list[JaxprEqn],
    read: list[Var],
    results: list[Var],
    last: tuple[Var, ...],
) -> Step:
    """Return a step: a program of one equation reads its literals too."""
    operands: list[Any] = list(read)
    if composite is None:
        (equation,) = equations
        operands = list(equation.invars)
        equation = on_variables(equation)
        read, equations = equation.invars, [equation]
    return Step(program(read, results, equations), tuple(operands), composite, last)


def _groups(jaxpr: Jaxpr) -> list[tuple[Place | None, list[JaxprEqn]]]:
    """Return the equations in order, those of one composite together."""
    groups: list[tuple[Place | None, list[JaxprEqn]]] = []
    if jaxpr.eqns and all(e.source_info.traceback is None for e in jaxpr.eqns):
        warnings.warn(_NO_TRACEBACKS, stacklevel=2)
    for equation in jaxpr.eqns:
        place = place_of(equation) or _named(equation)
        if place is not None and groups and groups[-1][0] == place:
            groups[-1][1].append(equation)
        else:
            groups.append((place, [equation]))
    return groups


def _named(equation: JaxprEqn) -> Place | None:
    """Return the composite that a compiled function is, which no frame shows."""
    if equation.primitive.name != "jit":
        return None
    composite = composite_of_function(equation.params["jaxpr"].jaxpr.debug_info)
    return composite and Place(composite, (id(equation),))
