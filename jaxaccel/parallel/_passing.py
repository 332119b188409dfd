"""What a collective may pass: equations that do the same to a share as to the whole array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Var
from jax.extend.core.primitives import convert_element_type_p, copy_p, neg_p, transpose_p

from jaxaccel._equations import evaluated
from jaxaccel.parallel._shares import Share, Split

_ON_EACH: Final = {neg_p, copy_p}
"""Primitives that do the same to each number."""


def of_share(equation: Any, values: Sequence[Any]) -> Share | None:
    """Return the result of an equation that does the same to every share; None: it is a use."""
    if len(values) != 1 or not isinstance(values[0], Share):
        return None
    primitive, ((array, split),) = equation.primitive, values
    if primitive is transpose_p:
        split = tuple(split[place] for place in equation.params["permutation"])
    elif primitive is convert_element_type_p:
        if np.dtype(equation.params["new_dtype"]).itemsize > array.dtype.itemsize:
            return None  # fewer bytes are gathered as it is
    elif primitive not in _ON_EACH:
        return None
    return Share(evaluated(equation, [array])[0], split)


class Want(NamedTuple):
    """That a gradient is to be scattered."""

    split: Split
    dtype: Any = None
    """What it is cast to before; None for its own: a sum over devices is not to be rounded."""

    def cast(self, gradient: Any) -> Any:
        """Return a gradient in the dtype in which it is reduced."""
        return gradient if self.dtype is None else gradient.astype(self.dtype)

    def of_slice(self) -> Want | None:
        """Return what is wanted of a slice along the first dimension; None if that is split."""
        return None if self.split[0] else self._replace(split=self.split[1:])


def passed_by(equation: Any, want: Want) -> Want | None:
    """Return what is wanted of an equation's operand for its result; None: no scatter passes it."""
    primitive = equation.primitive
    if primitive is transpose_p:
        permutation = equation.params["permutation"]
        places = (permutation.index(d) for d in range(len(permutation)))
        return want._replace(split=tuple(want.split[place] for place in places))
    if primitive is convert_element_type_p:
        old, new = (v.aval.dtype for v in (*equation.invars, *equation.outvars))
        is_floating = jnp.issubdtype(old, jnp.floating) and jnp.issubdtype(new, jnp.floating)
        widens = is_floating and new.itemsize > old.itemsize
        return want._replace(dtype=want.dtype or new) if widens else None
    return want if primitive in _ON_EACH else None


def scattered_at(jaxpr: Jaxpr, wanted: Sequence[Want | None]) -> dict[Any, Want]:
    """Return the variables that are scattered where they are made.

    Gradients, and what nothing but a gradient is made of, by an equation that a scatter may pass.
    """
    uses: dict[Any, int] = {}
    for atom in [*jaxpr.outvars, *(v for e in jaxpr.eqns for v in e.invars)]:
        if isinstance(atom, Var):
            uses[atom] = uses.get(atom, 0) + 1
    made = {v for e in jaxpr.eqns for v in e.outvars}
    found = {
        v: want
        for v, want in zip(jaxpr.outvars, wanted, strict=True)
        if want is not None and v in made and uses[v] == 1
    }
    for equation in reversed(jaxpr.eqns):
        result = equation.outvars[0] if equation.outvars else None
        want = passed_by(equation, found[result]) if result in found else None
        if want is not None:
            (operand,) = equation.invars
            if operand in made and uses[operand] == 1:
                found[operand] = want
            # Otherwise it is scattered behind this equation, as behind any other.
    return found


def needed_for(jaxpr: Jaxpr, results: set[Any]) -> set[Any]:
    """Return the variables that some results are made of, and themselves."""
    found = {v for v in results if isinstance(v, Var)}
    for equation in reversed(jaxpr.eqns):
        if any(v in found for v in equation.outvars):
            found.update(v for v in equation.invars if isinstance(v, Var))
    return found
