"""A loaded program that says what is wrong with its arguments, in front of JAX's own words."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.stages import Compiled

from jaxaccel._donated import check_not_donated
from jaxaccel._tree import path_name


def in_own_words(compiled: Compiled, place: Path) -> Compiled:
    """Return the program; where JAX refuses its arguments, they and a remedy are named first."""
    program = copy.copy(compiled)

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return program(*args, **kwargs)
        except (TypeError, ValueError, RuntimeError) as error:
            check_not_donated(**_named(args, kwargs))
            text = _fault(program, place, args, kwargs)
            if text is None:
                raise
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{text}\n{error}") from None

    compiled._call = call  # pyright: ignore: what a compiled program calls at last
    return compiled


def _named(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {f"argument {number}": tree for number, tree in enumerate(args)} | kwargs


def _fault(
    program: Compiled, place: Path, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str | None:
    """Return what is wrong with the arguments; None: nothing that is seen here."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((args, kwargs))):
        return (
            f"the program of {place} is finished, and was called under jit, grad, vmap or another "
            "transformation, which it cannot follow; call it with arrays, outside"
        )
    if jax.tree.structure((args, kwargs)) != program.in_tree:
        saved = program.in_tree.unflatten(range(program.in_tree.num_leaves))
        return (
            f"the program of {place} is for {_form(*saved)}, and was given {_form(args, kwargs)}; "
            "hand in trees of the same structure, by position or by name as it was lowered"
        )
    leaves = jax.tree_util.tree_leaves_with_path((args, kwargs))
    saved = zip(*map(jax.tree.leaves, (program.args_info, program.input_shardings)), strict=True)
    for (path, leaf), (info, sharding) in zip(leaves, saved, strict=True):
        if text := _difference(leaf, info, sharding):
            rest = path_name(path[2:])
            what = _name_of(path[1]) + (f" at {rest!r}" if rest else "")
            return f"{what} {text.format(place=place)}"
    return None


def _form(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return how many arguments there are, in which form."""
    names = f", {', '.join(sorted(kwargs))} by name" if kwargs else ""
    count = len(jax.tree.leaves((args, kwargs)))
    return f"{len(args)} argument{'s' * (len(args) != 1)}{names} with {count} arrays"


def _name_of(key: Any) -> str:
    """Return an argument's name, or its number."""
    return f"argument {key.idx}" if hasattr(key, "idx") else str(key.key)


def _difference(leaf: Any, info: Any, sharding: Any) -> str | None:
    """Return how an argument differs from what a program was compiled for."""
    try:
        shape, dtype = tuple(np.shape(leaf)), jax.dtypes.result_type(leaf)
    except TypeError:
        return f"is {leaf!r:.60}, and the program of {{place}} takes arrays; leave it out"
    if (shape, dtype) != (info.shape, info.dtype):
        return (
            f"is {dtype} of shape {shape}, and the program of {{place}} was compiled for "
            f"{info.dtype} of shape {info.shape}; hand in that (data.pad_to_bucket fills up a "
            "smaller batch), or save a program for this"
        )
    if isinstance(leaf, jax.Array) and not leaf.sharding.is_equivalent_to(sharding, len(shape)):
        return (
            f"lies on {leaf.sharding}, and the program of {{place}} was compiled for {sharding}; "
            "put it there: jax.device_put(args, program.input_shardings[0])"
        )
    return None
