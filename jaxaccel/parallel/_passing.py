"""What a collective may pass: equations that do the same to a share as to the whole array."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from jax.extend.core import Jaxpr, Var

from jaxaccel._equations import evaluated
from jaxaccel.parallel._shares import Share, Split

_ON_EACH: Final = {"neg", "copy", "copy_p"}
"""Primitives that do the same to each number."""


def of_share(equation: Any, values: Sequence[Any]) -> Share | None:
    """Return the result of an equation that does the same to every share; None: it is a use."""
    if len(values) != 1:
        return None
    name, ((array, split),) = equation.primitive.name, values
    if name == "transpose":
        split = tuple(split[place] for place in equation.params["permutation"])
    elif name == "convert_element_type":
        if np.dtype(equation.params["new_dtype"]).itemsize > array.dtype.itemsize:
            return None  # fewer bytes are gathered as it is
    elif name not in _ON_EACH:
        return None
    return Share(evaluated(equation, [array])[0], split)


def passed_by(equation: Any) -> Callable[[Split], Split] | None:
    """Return how an equation's operand is split where its result is; None: no scatter passes it."""
    if equation.primitive.name == "transpose":
        permutation = equation.params["permutation"]
        return lambda split: tuple(split[permutation.index(d)] for d in range(len(permutation)))
    return (lambda split: split) if equation.primitive.name in _ON_EACH else None


def scattered_at(jaxpr: Jaxpr, wanted: Sequence[Split | None]) -> dict[Any, Split]:
    """Return the variables that are scattered where they are made.

    Gradients, and what nothing but a gradient is made of, by an equation that a scatter may pass.
    """
    uses: dict[Any, int] = {}
    for atom in [*jaxpr.outvars, *(v for e in jaxpr.eqns for v in e.invars)]:
        if isinstance(atom, Var):
            uses[atom] = uses.get(atom, 0) + 1
    made = {v for e in jaxpr.eqns for v in e.outvars}
    found = {
        v: split
        for v, split in zip(jaxpr.outvars, wanted, strict=True)
        if split is not None and v in made and uses[v] == 1
    }
    for equation in reversed(jaxpr.eqns):
        through = passed_by(equation)
        if through is not None and equation.outvars[0] in found:
            (operand,) = equation.invars
            if operand in made and uses[operand] == 1:
                found[operand] = through(found[equation.outvars[0]])
            # Otherwise it is scattered behind this equation, as behind any other.
    return found


def needed_for(jaxpr: Jaxpr, results: set[Any]) -> set[Any]:
    """Return the variables that some results are made of, and themselves."""
    found = {v for v in results if isinstance(v, Var)}
    for equation in reversed(jaxpr.eqns):
        if any(v in found for v in equation.outvars):
            found.update(v for v in equation.invars if isinstance(v, Var))
    return found
