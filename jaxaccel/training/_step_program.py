"""The compiled programs of a step: one for each structure of the state and each of its places."""

from __future__ import annotations

import collections
import functools
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding


class _Program(NamedTuple):
    """A program, and the states that it is for."""

    treedef: Any
    shardings: list[Any]
    """Of every leaf; None of what is not an array of JAX's."""
    named: Callable[[list[Any]], Any]
    """Leaves -> a tuple of them with their names, which compilers show where they list arguments.

    Of all trees a tuple is the fastest to take apart."""
    run: Any
    """``(named leaves, batch, extra) -> (leaves, metrics)``."""


def compiled_for_leaves(
    run: Callable[..., Any], donate: bool, look: Callable[[Any, Any], None] | None = None
) -> Any:
    """Return ``run(state, batch, extra)`` compiled, as a function of the state's leaves.

    ``(leaves, treedef, batch, extra) -> (state, metrics)``, the state in the places in which it
    came. The tree is taken apart once a call, by the caller: variables of nnx take as long for it
    as a small step. So the program knows leaves alone, and the one of the last call is kept by it.
    ``look`` is shown the state and the traced program of the first call. The function's ``lower``,
    of the same arguments, which may be abstract, returns the program lowered, as ``jax.jit``'s.
    """
    latest: _Program | None = None

    @functools.cache
    def program(treedef: Any, places: tuple[NamedSharding | None, ...]) -> _Program:
        return _program(run, donate, treedef, places)

    def call(leaves: list[Any], treedef: Any, batch: Any, extra: dict[str, Any]) -> Any:
        nonlocal latest
        shardings = [getattr(leaf, "sharding", None) for leaf in leaves]
        known, is_new = latest, False
        if known is None or shardings != known.shardings or treedef != known.treedef:
            known, is_new = program(treedef, tuple(map(_place, shardings))), True
        named = known.named(leaves)
        if look is not None and latest is None:  # the call below finds it traced
            look(treedef.unflatten(leaves), known.run.trace(named, batch, extra).jaxpr)
        found, metrics = known.run(named, batch, extra)
        if is_new:
            _warn_of_move(shardings, found)
        # Always the last call's: what a step returns has the same objects as shardings each time,
        # and to compare them costs nothing.
        latest = known._replace(shardings=shardings)
        return known.treedef.unflatten(found), metrics

    def lower(leaves: list[Any], treedef: Any, batch: Any, extra: dict[str, Any]) -> Any:
        shardings = (getattr(leaf, "sharding", None) for leaf in leaves)
        known = program(treedef, tuple(map(_place, shardings)))
        return known.run.lower(known.named(leaves), batch, extra)

    call.lower = lower  # pyright: ignore[reportFunctionMemberAccess]
    return call


def _program(
    run: Callable[..., Any], donate: bool, treedef: Any, places: Sequence[NamedSharding | None]
) -> _Program:
    """Return the program for a structure and places."""
    pairs = jax.tree.leaves_with_path(treedef.unflatten(range(treedef.num_leaves)))
    names = [re.sub(r"\W+", "_", jax.tree_util.keystr(path)).strip("_") for path, _ in pairs]
    kind = collections.namedtuple("State", names, rename=True)

    def on_leaves(state: Any, batch: Any, extra: dict[str, Any]) -> Any:
        new, metrics = run(treedef.unflatten(state), batch, extra)
        leaves, made = jax.tree.flatten(new)
        if made != treedef:
            raise TypeError(
                "the optimizer's update returned its state in another structure than it was given, "
                f"so that the step's state is {made}, and was {treedef}; return what init returns"
            )
        return leaves, metrics

    compiled = jax.jit(
        on_leaves, donate_argnums=0 if donate else (), out_shardings=(list(places), None)
    )
    return _Program(treedef, [], kind._make, compiled)


def _warn_of_move(before: Sequence[Any], after: Sequence[Any]) -> None:
    """Warn where a state that was on no mesh comes back on one: the next step compiles again."""
    for old, leaf in zip(before, after, strict=True):
        if _place(old) is None and not isinstance(leaf.sharding, SingleDeviceSharding):
            warnings.warn(
                f"the state was on no mesh and came back on {leaf.sharding}, for which the next "
                "step is compiled once more; put it there at the start: "
                "training.train_state(..., mesh=mesh), with placement=placement where fully_shard "
                "or zero returned one",
                stacklevel=5,
            )
            return


def _place(sharding: Any) -> NamedSharding | None:
    """Return a place on a mesh in one of its spellings; ``None`` for what is on no mesh."""
    if not isinstance(sharding, NamedSharding):
        return None
    spec = list(sharding.spec)
    while spec and spec[-1] is None:
        spec.pop()
    return NamedSharding(sharding.mesh, PartitionSpec(*spec), memory_kind=sharding.memory_kind)
