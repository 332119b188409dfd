"""Equations that hold programs of their own, and gather and scatter inside of them.

Each takes the reader, what it knows of variables, the equation, what is wanted of its results and
which of them end the way there, and returns its results, arrays or shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import jax
from jax.extend.core import Primitive
from jax.extend.core.primitives import cond_p, jit_p, remat_p, scan_p

from jaxaccel._equations import by_platform, evaluated
from jaxaccel.parallel._shares import Share, Split


def _jit(reader: Any, env: Any, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
    """Run a compiled function as a part of this program, which it becomes anyway."""
    closed, values = equation.params["jaxpr"], list(map(env.value, equation.invars))
    known = env.back, env.gathered
    return reader.run(closed.jaxpr, closed.consts, values, wants, of_ends, *known)


def _scan(reader: Any, env: Any, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
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


def _cond(reader: Any, env: Any, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
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


def _remat(reader: Any, env: Any, equation: Any, wants: Any, of_ends: Any) -> list[Any]:
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


def _kept(reader: Any, env: Any, atom: Any) -> Any:
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


STRUCTURES: Final[Mapping[Primitive, Callable[..., list[Any]]]] = {
    jit_p: _jit,
    scan_p: _scan,
    cond_p: _cond,
    remat_p: _remat,
}
