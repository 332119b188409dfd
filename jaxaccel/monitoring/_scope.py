"""A program with its inputs: which of its values are not finite, and where they became so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jax.sharding import NamedSharding, PartitionSpec

from jaxaccel._equations import evaluated, number_of

INF, NAN = 1, 2
"""Kinds of what is not finite. What holds both is of the second."""

_MOVES: Final = ("broadcast_in_dim", "copy", "name", "reshape", "squeeze", "transpose")
"""Operations whose result is of a kind where their operand is: they are not asked."""

Run = Callable[[Callable[..., list[Any]], Sequence[Any], Sequence[Any]], list[Any]]
"""Calls a function of arrays, which stand for the variables of the last argument: compiled, and on
each device where the program is one's own."""


class Origin(NamedTuple):
    """Where a kind of what is not finite comes from, in one program."""

    at: int
    """Which operation; which input, where it comes in."""
    is_input: bool = False
    is_constant: bool = False
    """Whether it is a constant that somebody wrote, as the -inf of a mask."""


class Flow(NamedTuple):
    """What is known of every value of a program that is not finite."""

    kinds: dict[Any, int]
    """Variable -> its kind, where it is not finite."""
    origins: dict[int, dict[Any, Origin]]
    """Kind -> variable of this kind -> where it comes from."""
    values: list[np.ndarray]
    """What was asked for besides."""


class Scope(NamedTuple):
    """A program and what it is given."""

    run: Run
    jaxpr: Jaxpr
    arrays: Sequence[Any]
    """For its constants, and then for its inputs."""
    written: frozenset[int] = frozenset()
    """Which of the arrays are constants that somebody wrote."""
    outer: tuple[Any, ...] = ()
    """The operations that hold the program, the outermost first."""
    iterations: tuple[int, ...] = ()
    """Of the loops among those."""
    devices: int | None = None
    """How many devices run it, each on arrays of its own; None where it is of whole arrays."""

    @property
    def variables(self) -> list[Any]:
        """What stands for :attr:`arrays`."""
        return [*self.jaxpr.constvars, *self.jaxpr.invars]

    def is_written(self, atom: Any) -> bool:
        """Return whether something that an operation is given is a constant."""
        return isinstance(atom, Literal) or any(self.variables[i] is atom for i in self.written)

    def flow(self, *also: Any) -> Flow:
        """Run the program once, and say which of its values are not finite, and since when.

        Args:
            *also: Variables whose small values are wanted besides.
        """
        asked = [v for v in self.variables if _is_inexact(v)]
        for equation in self.jaxpr.eqns:
            if not _moves(equation):
                asked += [v for v in equation.outvars if _is_inexact(v)]
        found, *values = self.compute(
            lambda read: [kinds_of([read(v) for v in asked]), *map(read, also)]
        )
        kinds = {v: int(kind) for v, kind in zip(asked, self.on_host(found), strict=True)}
        for equation in self.jaxpr.eqns:
            if _moves(equation):
                kinds[equation.outvars[0]] = kinds.get(equation.invars[0], 0)
        kinds = {v: kind for v, kind in kinds.items() if kind}
        return Flow(kinds, _origins(self, kinds), [self.on_host(value) for value in values])

    def operands(self, index: int) -> list[Any]:
        """Return the arrays that an operation of the program is given."""
        atoms = self.jaxpr.eqns[index].invars
        return self.compute(lambda read: [read(atom) for atom in atoms], index)

    def compute(
        self, wanted: Callable[[Callable[[Any], Any]], list[Any]], until: Any = None
    ) -> Any:
        """Return what is wanted of the program's values, of the first operations alone."""

        def call(*arrays: Any) -> list[Any]:
            values = dict(zip(self.variables, arrays, strict=True))

            def read(atom: Any) -> Any:
                return jnp.asarray(number_of(atom)) if isinstance(atom, Literal) else values[atom]

            for equation in self.jaxpr.eqns[:until]:
                results = evaluated(equation, [read(atom) for atom in equation.invars])
                values.update(zip(equation.outvars, results, strict=True))
            return wanted(read)

        return self.run(call, self.arrays, self.variables)

    def on_host(self, table: jax.Array, joined: np.ufunc = np.maximum) -> np.ndarray:
        """Return numbers to look at, joined over the devices where each has its own."""
        numbers = on_host(table)
        return numbers if self.devices is None else joined.reduce(numbers, 0)


def on_host(table: jax.Array) -> np.ndarray:
    """Return numbers to look at, on every process where there are several."""
    if not table.is_fully_addressable and not table.is_fully_replicated:
        sharding: Any = table.sharding
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        table = jax.jit(lambda x: x, out_shardings=everywhere)(table)
    return np.asarray(table)


def _is_inexact(variable: Any) -> bool:
    """Return whether a variable may hold what is not finite."""
    dtype = getattr(variable.aval, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.inexact)


def _moves(equation: Any) -> bool:
    """Return whether an operation only moves what it is given, and all of it."""
    has_one = len(equation.invars) == 1 and not isinstance(equation.invars[0], Literal)
    return has_one and equation.primitive.name in _MOVES and _is_inexact(equation.outvars[0])


def kinds_of(arrays: Sequence[Any]) -> jax.Array:
    """Return the kind of each of some arrays, 0 of what is finite."""
    if not arrays:
        return jnp.zeros(0, jnp.int32)
    return jnp.stack([_kind_of(wide(array)) for array in arrays])


def _kind_of(array: jax.Array) -> jax.Array:
    """Return the kind of an array: one pass, that every backend can split over devices."""
    not_finite = jnp.where(jnp.isnan(array), jnp.int32(NAN), jnp.int32(INF))
    return jnp.max(jnp.where(jnp.isfinite(array), jnp.int32(0), not_finite), initial=0)


def wide(array: jax.Array) -> jax.Array:
    """Return an array in a dtype that can be asked: of 8 bits in float32."""
    return array.astype(jnp.float32) if array.dtype.itemsize == 1 else array


def _origins(scope: Scope, kinds: dict[Any, int]) -> dict[int, dict[Any, Origin]]:
    """Follow what is not finite through a program, forwards."""
    known: dict[int, dict[Any, Origin]] = {INF: {}, NAN: {}}
    for index, variable in enumerate(scope.variables):
        if variable in kinds:
            known[kinds[variable]][variable] = Origin(index, True, index in scope.written)
    for index, equation in enumerate(scope.jaxpr.eqns):
        for result in equation.outvars:
            kind = kinds.get(result)
            if kind == NAN:
                known[NAN][result] = _earliest(_of(known[NAN], equation)) or Origin(index)
            elif kind == INF:
                known[INF][result] = _origin_of_inf(equation, index, known)
    return known


def _origin_of_inf(equation: Any, index: int, known: dict[int, dict[Any, Origin]]) -> Origin:
    """Return where the infinities of an operation's result come from.

    Those that somebody wrote, as a mask's, count only where there are no others, and not where the
    operation holds a program, which may make its own.
    """
    given = _of(known[INF], equation) + _of(known[NAN], equation)
    if (own := _earliest([each for each in given if not each.is_constant])) is not None:
        return own
    if _holds_program(equation):
        return Origin(index)
    is_written = any(isinstance(v, Literal) and _is_inf(v) for v in equation.invars)
    if given or is_written:
        return _earliest(given) or Origin(index, is_constant=True)
    return Origin(index)


def _of(known: dict[Any, Origin], equation: Any) -> list[Origin]:
    """Return what is known of an operation's operands."""
    return [known[v] for v in equation.invars if not isinstance(v, Literal) and v in known]


def _earliest(origins: Sequence[Origin]) -> Origin | None:
    """Return the first of some origins, an input before all operations."""
    return min(origins, key=lambda each: (not each.is_input, each.at), default=None)


def _is_inf(literal: Literal) -> bool:
    """Return whether a literal is infinite."""
    return _is_inexact(literal) and bool(np.isinf(np.asarray(literal.val, np.float64)))


def _holds_program(equation: Any) -> bool:
    """Return whether an operation holds a program."""
    return any(
        hasattr(each, "eqns") or hasattr(each, "jaxpr")
        for value in equation.params.values()
        for each in (value if isinstance(value, (tuple, list)) else (value,))
    )
