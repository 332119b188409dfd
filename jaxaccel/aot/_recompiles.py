"""Which calls of a compiled function compile anew, and why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, cast

import jax
from jax.core import Tracer

from jaxaccel._checked import checked_but
from jaxaccel._functions import is_function
from jaxaccel._lowering import lower_of

_Signature = dict[str, str]
"""Place of an argument -> what a program depends on of it."""


class Recompile(NamedTuple):
    """A call that needed a program of its own."""

    call: int
    """Its number, from 1."""
    changes: tuple[str, ...]
    """What differs from the earlier call that is most alike; none for the first."""


class Counted(Protocol):
    """What :func:`count_recompiles` returns: the function, with a record."""

    recompiles: list[Recompile]
    """Of all calls so far that needed a program, the first among them."""
    lowered: Callable[..., Any]
    """The function's program for arguments or their shapes, which is not a call."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        ...


@checked_but("fn")
def count_recompiles(fn: Callable[..., Any], *, limit: int | None = 8) -> Counted:
    """Return the function, which notes each call that needs a program of its own, and why.

    A compiled function has a program for every combination of its arguments' structure, shapes,
    dtypes and placements, and for every value of what is not a number or an array. Batches whose
    sizes change compile again and again, which looks like a slow step: the record names what
    changed. Pad to a few sizes (:func:`jaxaccel.data.pad_to_bucket`) where it is too much.

    Args:
        fn: A step or another compiled function.
        limit: Warn once when there are more programs than this; None for never.

    Returns:
        ``fn`` with ``.recompiles``, a list of :class:`Recompile`, and ``.lowered``, with which it
        stands wherever a step is compiled (``aot.compile_for``, ``memory.report``). Each call costs
        a walk over its arguments: for looking, not for the last percent.

    Raises:
        TypeError: ``fn`` is not a function.
        ValueError: ``limit`` is below 1.

    PyTorch:
        ``TORCH_LOGS="recompiles"`` and ``torch._dynamo.config.recompile_limit``, 8 as here; past
        it PyTorch runs without compiling, and here the next program is compiled.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> total = ja.aot.count_recompiles(jax.jit(lambda batch: batch["x"].sum()))
        >>> for rows in (8, 8, 5):
        ...     _ = total({"x": jnp.ones((rows, 3))})
        >>> print(len(total.recompiles), total.recompiles[-1].changes)
        2 ("args[0]['x']: float32[5,3], was float32[8,3]",)
    """
    if not is_function(fn):
        raise TypeError(f"fn must be a function, got {fn!r:.80}; pass a step or jax.jit(f)")
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, or None for no warning, got {limit}")
    known: dict[tuple[tuple[str, str], ...], _Signature] = {}
    calls = 0

    recompiles: list[Recompile] = []

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        found = _signature(args, kwargs)
        key = tuple(found.items())
        if key not in known:
            # Of calls that are as much alike the latest: it is the one that a reader remembers.
            earlier = (_changes(old, found) for old in reversed(known.values()))
            changes = min(earlier, key=len, default=())
            known[key] = found
            recompiles.append(Recompile(calls, changes))
            if limit is not None and len(known) == limit + 1:
                _warn(recompiles, limit)
        return fn(*args, **kwargs)

    counted = cast(Counted, call)
    counted.recompiles = recompiles
    counted.lowered = lower_of(fn)
    return counted


def _signature(args: Any, kwargs: Any) -> _Signature:
    """Return what a program depends on, by the places of the leaves."""
    given = {"args": args, "kwargs": kwargs} if kwargs else {"args": args}
    return {
        place: _facts(leaf)
        for name, tree in given.items()
        for path, leaf in jax.tree.leaves_with_path(tree)
        for place in [name + jax.tree_util.keystr(path)]
    }


def _facts(leaf: Any) -> str:
    """Return what a program depends on of a leaf; of a Python number its type alone."""
    if isinstance(leaf, (bool, int, float, complex)):
        return type(leaf).__name__
    if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
        return repr(leaf)
    text = f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
    if getattr(leaf, "weak_type", False):
        text += ", weakly typed"
    if isinstance(leaf, Tracer):
        return text
    # A committed array brings its devices; any other goes where the program runs.
    return f"{text} on {leaf.sharding}" if getattr(leaf, "committed", False) else text


def _changes(old: _Signature, new: _Signature) -> tuple[str, ...]:
    """Return what differs, one text for each place."""
    nothing = "nothing"
    return tuple(
        f"{place}: {new.get(place, nothing)}, was {old.get(place, nothing)}"
        for place in {**old, **new}
        if new.get(place) != old.get(place)
    )


def _warn(recompiles: list[Recompile], limit: int) -> None:
    """Warn, with what changed in the last calls."""
    lines = [f"call {call}: {'; '.join(changes[:3])}" for call, changes in recompiles[-3:]]
    warnings.warn(
        f"more than {limit} programs were compiled for one function, lately\n"
        + "\n".join(lines)
        + "\npad to a few sizes, data.pad_to_bucket, or pass limit=None if they are wanted",
        stacklevel=3,
    )
