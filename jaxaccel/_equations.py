"""Equations of a traced program, run one by one by whoever reads it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import eval_jaxpr
from jax.extend.core import DebugInfo, Jaxpr, JaxprEqn, Literal, Var

_NAMELESS = DebugInfo("jaxaccel", "operation", None, None)


def program(read: Sequence[Any], results: Sequence[Any], equations: Sequence[JaxprEqn]) -> Jaxpr:
    """Return equations as a program of their own."""
    effects = set().union(*(equation.effects for equation in equations))
    return Jaxpr((), read, results, equations, effects, _NAMELESS)


def on_variables(equation: Any) -> Any:
    """Return an equation that reads its literals as variables of their own."""
    atoms = equation.invars
    return equation.replace(invars=[Var(v.aval) if isinstance(v, Literal) else v for v in atoms])


def number_of(literal: Literal) -> np.ndarray:
    """Return what a literal stands for, in its own dtype."""
    aval: Any = literal.aval
    return np.asarray(literal.val, aval.dtype)


def evaluated(equation: Any, operands: Sequence[Any]) -> list[Any]:
    """Return an equation's results, of arrays for its operands, literals among them."""
    alone = on_variables(equation)
    unlike = [Var(v.aval) for v in alone.invars]  # an operand may be read twice
    alone = alone.replace(invars=unlike)
    return eval_jaxpr(program(unlike, alone.outvars, [alone]), (), *operands)


@contextlib.contextmanager
def in_scope(equation: Any) -> Iterator[None]:
    """Enter the scope and the context that an equation was traced in."""
    scope = str(equation.source_info.name_stack)
    with equation.ctx.manager, jax.named_scope(scope) if scope else contextlib.nullcontext():
        yield


def by_platform(
    platforms: Sequence[tuple[str, ...] | None],
    functions: Sequence[Callable[..., list[Any]]],
    arrays: Sequence[Any],
) -> list[Any]:
    """Run a choice that is made when the program is lowered."""
    choices: list[tuple[str, Any]] = [
        (name, function)
        for names, function in zip(platforms, functions, strict=True)
        for name in names or ("default",)
    ]
    return jax.lax.platform_dependent(*arrays, **dict(choices))
