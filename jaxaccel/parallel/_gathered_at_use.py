"""A gradient function on shares: parameters gathered where they are used, gradients scattered.

The program of a gradient function is read equation by equation. What it does to one parameter
alone (a cast, a transposition) is done to the share. Before anything else the parameter is
gathered, in the loop's body that uses it and not in front of the loop, and once more on the way
back, so that no device holds more than the layer it computes. A gradient is reduced where it is
made, in the loop's body too. Whatever this does not know is a use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
from jax.extend.core import Jaxpr, Literal, Var

from jaxaccel._equations import evaluated, in_scope, number_of
from jaxaccel.parallel._inner_programs import STRUCTURES
from jaxaccel.parallel._passing import Want, needed_for, of_share, scattered_at
from jaxaccel.parallel._shares import Collectives, Share


class Reader(NamedTuple):
    """Who reads a program."""

    collectives: Collectives
    again: bool
    """Gather anew in loops and on the way back; otherwise once, and keep."""
    early: bool
    """Scatter gradients where they are made; otherwise when all is done."""

    def run(
        self,
        jaxpr: Jaxpr,
        consts: Sequence[Any],
        values: Sequence[Any],
        wanted: Sequence[Want | None],
        losses: Sequence[bool],
        back: Back | None = None,
        gathered: dict[Any, Any] | None = None,
    ) -> list[Any]:
        """Return the results of a program whose values are arrays or shares.

        ``wanted`` says which results are gradients to be scattered, and how; ``losses`` which of
        them end the way there: what they do not need is the way back. All is, with ``back``.
        ``gathered`` is what the program around this one, a part of which it becomes, has gathered.
        """
        scattered = scattered_at(jaxpr, wanted) if self.early else {}
        pairs = zip(jaxpr.outvars, losses, strict=True)
        ends = {v for v, is_end in pairs if is_end and isinstance(v, Var)}
        there, loss = needed_for(jaxpr, ends), None
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True))
        env = _Values(self.collectives, known, {} if gathered is None else gathered, back)
        for equation in jaxpr.eqns:
            of_ends = [v in there for v in equation.outvars]
            if back is None and self.again and there:
                env = env._replace(back=None if any(of_ends) else Back(loss))
            is_passed = any(isinstance(v, Var) and v in scattered for v in equation.invars)
            wants = [None if is_passed else scattered.get(v) for v in equation.outvars]
            results = self.step(env, equation, wants, of_ends)
            known.update(zip(equation.outvars, results, strict=True))
            ended = [known[v] for v in equation.outvars if v in ends]
            loss = next((value for value in ended if not isinstance(value, Share)), loss)
        return [
            env.value(v)
            if want is None or (isinstance(v, Var) and v in scattered)
            else self.scattered([env.array(v)], [want])[0]
            for v, want in zip(jaxpr.outvars, wanted, strict=True)
        ]

    def step(
        self, env: _Values, equation: Any, wants: list[Want | None], of_ends: list[bool]
    ) -> list[Any]:
        """Return the results of one equation, arrays or shares, scattered as they are wanted."""
        values = [env.value(v) for v in equation.invars]
        has_share = any(isinstance(value, Share) for value in values)
        is_wanted = any(want is not None for want in wants)
        if has_share or is_wanted:
            structure = STRUCTURES.get(equation.primitive)
            if structure is not None:
                with in_scope(equation):
                    return structure(self, env, equation, wants, of_ends)
            found = None if is_wanted else of_share(equation, values)
            if found is not None:
                return [found]
        results = evaluated(equation, [env.array(v) for v in equation.invars])
        return self.scattered(results, wants)

    def scattered(self, results: Sequence[Any], wants: Sequence[Want | None]) -> list[Any]:
        """Return results, those scattered that are wanted so."""
        scatter = self.collectives.scatter
        return [
            result if want is None else scatter(want.cast(result), want.split)
            for result, want in zip(results, wants, strict=True)
        ]

    def whole(self, values: Sequence[Any]) -> list[Any]:
        """Return values as arrays."""
        gather = self.collectives.gather
        return [gather(value) if isinstance(value, Share) else value for value in values]


class Back(NamedTuple):
    """The way back."""

    loss: Any
    """Where the way there ended, if that is known here."""


class _Values(NamedTuple):
    """What the variables of a program stand for while it is read."""

    collectives: Collectives
    known: dict[Any, Any]
    gathered: dict[Any, Any]
    """Of a share's array and a way, with the array, whose name it keeps: gathered once on each."""
    back: Back | None = None
    """For what is gathered on the way back anew."""

    def value(self, atom: Any) -> Any:
        """Return an array or a share."""
        if isinstance(atom, Literal):
            return number_of(atom)
        return self.known[atom]

    def array(self, atom: Any) -> Any:
        """Return a whole array, gathered once on the way there and once on the way back."""
        value = self.value(atom)
        if not isinstance(value, Share):
            return value
        array, place = value.array, (id(value.array), self.back is not None)
        if place not in self.gathered:
            if self.back is not None:
                value = value._replace(array=_after(array, self.back.loss))
            self.gathered[place] = self.collectives.gather(value), array
        return self.gathered[place][0]

    def arrays(self, atoms: Sequence[Any]) -> list[Any]:
        """Return whole arrays."""
        return [self.array(atom) for atom in atoms]


def _after(array: Any, loss: Any) -> Any:
    """Return an array that is there once the loss is: the compiler would keep the first one."""
    return jax.lax.optimization_barrier([array] if loss is None else [array, loss])[0]
