"""A gradient function on shares: parameters gathered where they are used, gradients scattered.

The program of a gradient function is read equation by equation. What it does to one parameter
alone (a cast, a transposition) is done to the share. Before anything else the parameter is
gathered, in the loop's body that uses it and not in front of the loop, and once more on the way
back, so that no device holds more than the layer it computes. A gradient is reduced where it is
made, in the loop's body too. Whatever this does not know is a use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import jax
from jax.extend.core import Jaxpr, Literal, Var
from jax.extend.core.primitives import remat_p

from jaxaccel._equations import by_platform, evaluated, in_scope, number_of
from jaxaccel.parallel._passing import Want, needed_for, of_share, scattered_at
from jaxaccel.parallel._shares import Collectives, Share, Split


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
    ) -> list[Any]:
        """Return the results of a program whose values are arrays or shares.

        ``wanted`` says which results are gradients to be scattered, and how; ``losses`` which of
        them end the way there: what they do not need is the way back. All is, with ``back``.
        """
        scattered = scattered_at(jaxpr, wanted) if self.early else {}
        pairs = zip(jaxpr.outvars, losses, strict=True)
        ends = {v for v, is_end in pairs if is_end and isinstance(v, Var)}
        there, loss = needed_for(jaxpr, ends), None
        known = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *values], strict=True))
        env = _Values(self.collectives, known, {}, back)
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
            structure = _STRUCTURES.get(equation.primitive.name)
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
        place = atom, self.back is not None
        if place not in self.gathered:
            if self.back is not None:
                value = value._replace(array=_after(value.array, self.back.loss))
            self.gathered[place] = self.collectives.gather(value)
        return self.gathered[place]

    def arrays(self, atoms: Sequence[Any]) -> list[Any]:
        """Return whole arrays."""
        return [self.array(atom) for atom in atoms]


def _after(array: Any, loss: Any) -> Any:
    """Return an array that is there once the loss is: the compiler would keep the first one."""
    return jax.lax.optimization_barrier([array] if loss is None else [array, loss])[0]


# -------------------------------------------------------------------------------- inner programs


def _jit(reader: Reader, env: _Values, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
    """Run a compiled function as a part of this program, which it becomes anyway."""
    closed, values = equation.params["jaxpr"], list(map(env.value, equation.invars))
    return reader.run(closed.jaxpr, closed.consts, values, wants, of_ends, env.back)


def _scan(reader: Reader, env: _Values, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
    """Run a scan whose body gathers its own slice, and scatters the gradient of it."""
    params, closed = equation.params, equation.params["jaxpr"]
    start, count = params["num_consts"], params["num_carry"]
    atoms = equation.invars
    consts = [_kept(reader, env, atom) for atom in atoms[:start]]
    carry = env.arrays(atoms[start : start + count])
    # Along the axis that it walks a scan needs all.
    xs = [
        env.array(atom) if _is_split_first(env.value(atom)) else _kept(reader, env, atom)
        for atom in atoms[start + count :]
    ]
    inside = [want.of_slice() if want is not None else None for want in wants[count:]]
    stacked: list[Split | None] = []

    def body(carry: list[Any], slices: list[Any]) -> Any:
        own = [
            Share(part, x.split[1:]) if isinstance(x, Share) else part
            for part, x in zip(slices, xs, strict=True)
        ]
        given = [*consts, *carry, *own]
        wanted = [*[None] * count, *inside]
        results = reader.run(closed.jaxpr, closed.consts, given, wanted, of_ends)
        arrays, stacked[:] = _taken_apart(results[count:])
        return reader.whole(results[:count]), arrays

    carry, ys = jax.lax.scan(
        body,
        carry,
        [x.array if isinstance(x, Share) else x for x in xs],
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    # What a loop sums up, and what is split along the axis that it walks, is scattered behind it.
    rest = [want if i is None else None for want, i in zip(wants[count:], inside, strict=True)]
    sums = reader.scattered([*carry, *ys], [*wants[:count], *rest])
    of_stacks = [None if split is None else ((), *split) for split in stacked]
    return _put_together(sums, [*[None] * count, *of_stacks])


def _cond(reader: Reader, env: _Values, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
    """Run a choice, each branch of which gathers what it uses, if all devices choose the same."""
    index, *operands = equation.invars
    platforms = equation.params.get("branches_platforms")
    if platforms is None and reader.collectives.differs(env.array(index)):
        # What only some devices choose would wait for the others for ever.
        results = evaluated(equation, env.arrays(equation.invars))
        return reader.scattered(results, wants)
    arrays, given = _taken_apart([_kept(reader, env, atom) for atom in operands])

    def of(branch: Any) -> Callable[..., list[Any]]:
        def run(*arrays: Any) -> list[Any]:
            values = _put_together(arrays, given)
            found = reader.run(branch.jaxpr, branch.consts, values, wants, of_ends)
            return reader.whole(found)

        return run

    functions = [of(branch) for branch in equation.params["branches"]]
    if platforms is None:
        return jax.lax.switch(env.array(index), functions, *arrays)
    return by_platform(platforms, functions, arrays)


def _remat(reader: Reader, env: _Values, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
    """Run a function that is computed again on the way back, and gathers again there."""
    params = equation.params
    arrays, given = _taken_apart([_kept(reader, env, atom) for atom in equation.invars])
    made: list[Split | None] = []

    def run(*arrays: Any) -> list[Any]:
        values = _put_together(arrays, given)
        found, made[:] = _taken_apart(reader.run(params["jaxpr"], (), values, wants, of_ends))
        return found

    traced = jax.make_jaxpr(run)(*arrays)
    inner = traced.jaxpr
    inner = inner.replace(constvars=(), invars=[*inner.constvars, *inner.invars])
    # Bound as it was, because jax.checkpoint would forget that it is the way back.
    results = remat_p.bind(*traced.consts, *arrays, **{**params, "jaxpr": inner})
    return _put_together(results, made)


def _kept(reader: Reader, env: _Values, atom: Any) -> Any:
    """Return a share for an inner program to gather, or the whole array."""
    return env.value(atom) if reader.again else env.array(atom)


def _is_split_first(value: Any) -> bool:
    """Return whether a share is split along its first dimension."""
    return isinstance(value, Share) and bool(value.split[0])


def _taken_apart(values: Sequence[Any]) -> tuple[list[Any], list[Split | None]]:
    """Return arrays, and how those of shares are split."""
    pairs = [value if isinstance(value, Share) else (value, None) for value in values]
    return [array for array, _ in pairs], [split for _, split in pairs]


def _put_together(arrays: Sequence[Any], splits: Sequence[Split | None]) -> list[Any]:
    """Return arrays and shares."""
    return [
        array if split is None else Share(array, split)
        for array, split in zip(arrays, splits, strict=True)
    ]


_STRUCTURES: Final[dict[str, Callable[..., list[Any]]]] = {
    "jit": _jit,
    "scan": _scan,
    "cond": _cond,
    "remat2": _remat,
}
