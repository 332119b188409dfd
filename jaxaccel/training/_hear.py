"""How the loop calls its callbacks and takes their answers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxaccel._functions import check_takes
from jaxaccel.training._callback import Callback, Hook, Reply, Run
from jaxaccel.training._metrics import numbers_of

Hooks = list[tuple[str, Hook]]
_HOOK = ("(run, memory) -> Reply or None", 2)
_FORMS = {
    "on_step": _HOOK,
    "on_epoch": _HOOK,
    "on_end": _HOOK,
    "init": ("(state) -> memory", 1),
    "opened": ("() -> context manager", 0),
}
"""A callback's functions: what they take and return, and how many arguments they are given."""


def check_callbacks(callbacks: Sequence[Any]) -> None:
    """Raise for what is not a callback, and for two that would share a memory."""
    names = set()
    if isinstance(callbacks, Callback):  # a tuple of its fields, as every NamedTuple
        raise TypeError(
            f"callbacks must be a list of Callbacks, got one, {callbacks.name!r}; put it in a list"
        )
    if not isinstance(callbacks, Sequence) or isinstance(callbacks, (str, bytes)):
        raise TypeError(f"callbacks must be a list of Callbacks, got {callbacks!r:.80}")
    for each in callbacks:
        if not isinstance(each, Callback):
            raise TypeError(
                f"callbacks must be Callbacks, got {each!r:.80}; what makes one is called first, "
                "and a function is one as Callback(name, on_step=function)"
            )
        _check_functions(each)
        if keeps(each) and each.name in names:
            raise ValueError(
                f"two callbacks remember something under the name {each.name!r}; give one of them "
                "another: callback._replace(name=...)"
            )
        names |= {each.name} if keeps(each) else set()


def _check_functions(callback: Callback) -> None:
    """Raise for what a callback has in place of a function, and for one that takes others."""
    for name, (form, arguments) in _FORMS.items():
        function = getattr(callback, name)
        if function is None:
            continue
        whose = f"Callback({callback.name!r})'s {name}"
        if not callable(function):
            raise TypeError(f"{whose} must be a function {form}, got {function!r:.80}")
        check_takes(whose, form, function, *[None] * arguments)


def keeps(callback: Callback) -> bool:
    """Return whether a callback remembers anything."""
    return callback.memory is not None or callback.init is not None


def opened(callbacks: Sequence[Callback], stack: contextlib.ExitStack) -> list[Callback]:
    """Return the callbacks that take part, in the order in which they are called.

    Those called last are opened first and closed last: one may end the process.
    """
    found, order = [], sorted(callbacks, key=lambda each: each.is_last)
    for each in order[::-1]:
        inner = each if each.opened is None else _entered(each, stack)
        own = {"memory": each.memory, "init": each.init, "is_last": each.is_last}
        found.append(inner._replace(name=each.name, **own))
    return found[::-1]


def _entered(callback: Callback, stack: contextlib.ExitStack) -> Callback:
    """Return what takes a callback's place while the run goes; raise for what cannot."""
    assert callback.opened is not None
    context, wanted = callback.opened(), "a context manager that gives a Callback"
    if not isinstance(context, contextlib.AbstractContextManager):
        raise TypeError(
            f"opened of callback {callback.name!r} must return {wanted}, got {context!r:.80}; "
            "decorate it with contextlib.contextmanager"
        )
    inner = stack.enter_context(context)
    if not isinstance(inner, Callback):
        raise TypeError(
            f"opened of callback {callback.name!r} must return {wanted}, and it gives "
            f"{inner!r:.80}; yield the Callback"
        )
    _check_functions(inner)
    return inner


def first_memory(callbacks: Sequence[Callback], state: Any) -> dict[str, Any]:
    """Return what the callbacks remember before the first step, by their names.

    Dicts and lists are this run's own: a callback that changes one changes no other run's.
    """
    return {
        each.name: jax.tree.map(lambda leaf: leaf, each.memory)
        if each.init is None
        else each.init(state)
        for each in callbacks
        if keeps(each)
    }


def hooks_of(callbacks: Sequence[Callback], kind: str) -> Hooks:
    """Return the functions that are called on an occasion, with their callbacks' names.

    At the end those that are called last elsewhere come first: what they save is what the run goes
    on from, and not what the others make of it then.
    """
    if kind == "on_end":
        callbacks = sorted(callbacks, key=lambda each: not each.is_last)
    found = ((each.name, getattr(each, kind)) for each in callbacks)
    return [(name, hook) for name, hook in found if hook is not None]


def hear(hooks: Hooks, run: Run) -> Run:
    """Call all that are to be called, one after the other, and return what they leave behind."""
    memory = run.record.memory
    for name, hook in hooks:
        reply = hook(run, memory.get(name))
        if reply is not None:
            run = _answered(run, name, reply)
    return run


def _answered(run: Run, name: str, reply: Any) -> Run:
    """Return the run after an answer."""
    if not isinstance(reply, Reply):
        raise TypeError(f"callback {name!r} must return a Reply or None, got {reply!r:.80}")
    for why in (reply.stop, reply.pause):
        if why is not None and not (isinstance(why, str) and why):
            raise TypeError(f"callback {name!r} must say in words why the run ends, got {why!r}")
    if reply.memory is not None:
        _check_memory(name, run.record.memory.get(name), reply.memory)
        run.record.memory[name] = reply.memory
    if reply.metrics is not None:
        if not isinstance(reply.metrics, Mapping):
            raise TypeError(
                f"callback {name!r} must return metrics as {{name: number}}, got "
                f"{reply.metrics!r:.80}"
            )
        numbers = numbers_of(reply.metrics, f"callback {name!r}")
        run = run._replace(metrics={**run.metrics, **numbers})
        if not run.is_epoch_end:
            _note(run.record.measured, run.total_steps, numbers)
    return run._replace(
        state=run.state if reply.state is None else reply.state,
        stopped=run.stopped or reply.stop,
        paused=run.paused or reply.pause,
    )


def _check_memory(name: str, old: Any, new: Any) -> None:
    """Raise for a memory that the run could not be resumed with: of another form than the first."""
    if new is old:
        return
    if old is None:
        raise ValueError(
            f"callback {name!r} has no first memory, and now remembers {new!r:.80}; give it one of "
            f"the same form, Callback({name!r}, memory=...): what is saved is resumed into it"
        )
    before, structure = jax.tree.flatten_with_path(old)
    after = jax.tree.leaves(new)
    if jax.tree.structure(new) != structure:
        raise ValueError(
            f"callback {name!r} must keep the form of its memory, got {new!r:.80} after "
            f"{old!r:.80}; begin with all that it is to remember"
        )
    for (path, first), then in zip(before, after, strict=True):
        if _form(then) == _form(first):
            continue
        is_rounded = type(first) is int and isinstance(then, float)
        was, now = _shown(first), _shown(then)
        remedy = repr(float(first)) if is_rounded else "one like it, or convert it before"
        raise ValueError(
            f"callback {name!r} must keep shapes and dtypes of its memory: "
            f"memory{jax.tree_util.keystr(path)} was {was}, and is {now}; begin with {remedy}"
        )


def _form(leaf: Any) -> tuple[Any, Any]:
    """Return the shape and dtype that a leaf is saved with, without a wait for it."""
    array = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return np.shape(array), array.dtype


def _shown(leaf: Any) -> str:
    """Return a number with its type, or an array's dtype and shape."""
    if isinstance(leaf, (bool, int, float)):
        return f"{type(leaf).__name__} {leaf}"
    shape, dtype = _form(leaf)
    return f"{dtype}{[*shape]}"


def _note(measured: list[dict[str, float]], total_steps: int, numbers: dict[str, float]) -> None:
    """Keep what was measured between steps, together with what else was after the same step."""
    if not measured or measured[-1]["total_steps"] != total_steps:
        measured.append({"total_steps": total_steps})
    measured[-1] |= numbers
