"""Into an operation that holds a program: a compiled function, a checkpoint, a branch, a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import jax
import numpy as np
from jax.sharding import PartitionSpec

from jaxaccel.monitoring._scope import Scope

Inside = tuple[Scope, Callable[[int], int | None]]
"""A program, and the way from its inputs to the operands of the operation that holds it."""


def inside(scope: Scope, index: int) -> Inside | None:
    """Return the program that an operation holds; None for another one, or a loop."""
    equation = scope.jaxpr.eqns[index]
    enter = _WAYS.get(equation.primitive.name)
    return None if enter is None else enter(scope, equation, scope.operands(index))


def opened(
    scope: Scope, equation: Any, program: Any, arrays: Sequence[Any], atoms: Sequence[Any] = ()
) -> Scope:
    """Return the scope of a program that an operation holds, with or without constants.

    Its inputs are these arrays; atoms are what stands outside for those that are the same there:
    for all, or for the first ones, which a loop does not change.
    """
    consts: Sequence[Any] = getattr(program, "consts", ())
    jaxpr = getattr(program, "jaxpr", program)
    given = [*(_as_operand(scope, const) for const in consts), *arrays]
    is_written = [True] * len(consts) + [scope.is_written(atom) for atom in atoms]
    written = frozenset(index for index, is_one in enumerate(is_written) if is_one)
    outer = (*scope.outer, equation)
    return scope._replace(jaxpr=jaxpr, arrays=given, written=written, outer=outer)


def _as_operand(scope: Scope, const: Any) -> Any:
    """Return a constant as each device has it, where each has arrays of its own."""
    if scope.devices is None:
        return const
    return np.broadcast_to(np.asarray(const)[None], (scope.devices, *np.shape(const)))


def _after(count: int, first: int = 0) -> Callable[[int], int | None]:
    """Return the way from a program's inputs, behind its constants, to operands from one on."""
    return lambda given: None if given < count else given - count + first


def _call(scope: Scope, equation: Any, operands: list[Any]) -> Inside:
    """Enter a function that is called as it is."""
    program = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    inner = opened(scope, equation, program, operands, equation.invars)
    return inner, _after(len(inner.jaxpr.constvars))


def _branch(scope: Scope, equation: Any, operands: list[Any]) -> Inside | None:
    """Enter the branch that was taken; not where devices took several."""
    taken = {*map(int, np.ravel(np.asarray(operands[0])))}
    if len(taken) > 1:
        return None
    branch = equation.params["branches"][taken.pop()]
    inner = opened(scope, equation, branch, operands[1:], equation.invars[1:])
    return inner, _after(len(inner.jaxpr.constvars), 1)


def _each_device(scope: Scope, equation: Any, operands: list[Any]) -> Inside | None:
    """Enter what each device runs on its own part: all arrays have the devices in front."""
    params = equation.params
    mesh, axes = params["mesh"], tuple(params["newly_manual_axes"])
    if scope.devices is not None or not axes:
        return None
    stacked, names = PartitionSpec(axes), set(axes)

    def mapped(function: Callable[..., Any], specs: Any, arrays: Sequence[Any]) -> list[Any]:
        def in_front(*parts: Any) -> list[Any]:
            return [result[None] for result in function(*parts)]

        own = {"mesh": mesh, "in_specs": specs, "out_specs": stacked, "axis_names": names}
        check = params["check_vma"]
        return list(jax.jit(jax.shard_map(in_front, **own, check_vma=check))(*arrays))

    def run(
        function: Callable[..., list[Any]], arrays: Sequence[Any], atoms: Sequence[Any]
    ) -> list[Any]:
        # What was the same on all devices comes in as such: JAX minds it in sums over devices.
        shared = [params["check_vma"] and not atom.aval.manual_axis_type.varying for atom in atoms]

        def on_one(*parts: Any) -> list[Any]:
            pairs = zip(parts, shared, strict=True)
            return function(*(part if is_shared else part[0] for part, is_shared in pairs))

        specs = tuple(PartitionSpec() if is_shared else stacked for is_shared in shared)
        pairs = zip(arrays, shared, strict=True)
        return mapped(on_one, specs, [a[0] if is_shared else a for a, is_shared in pairs])

    given = mapped(lambda *parts: list(parts), tuple(params["in_specs"]), operands)
    devices = int(np.prod([mesh.shape[axis] for axis in axes]))
    inner = scope._replace(run=run, devices=devices)
    return opened(inner, equation, params["jaxpr"], given), _after(0)


_WAYS: Final[dict[str, Callable[[Scope, Any, list[Any]], Inside | None]]] = {
    "jit": _call,
    "closed_call": _call,
    "core_call": _call,
    "remat2": _call,
    "custom_jvp_call": _call,
    "custom_vjp_call": _call,
    "cond": _branch,
    "shard_map": _each_device,
}
