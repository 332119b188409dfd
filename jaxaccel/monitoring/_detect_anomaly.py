"""A step that says where it stops being finite."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp

from jaxaccel._checked import checked_but
from jaxaccel._donated import is_donated
from jaxaccel._functions import is_function
from jaxaccel.monitoring._anomaly import Anomaly
from jaxaccel.monitoring._find_anomaly import (
    check_not_traced,
    find_anomaly,
    kinds_by_name,
    named_results,
    not_finite,
)
from jaxaccel.monitoring._scope import kinds_of, on_host

F = TypeVar("F", bound=Callable[..., Any])


@checked_but("fn")
def detect_anomaly(fn: F, *, skipped: bool = False) -> F:
    """Return a function that raises in the call whose results are not finite, and says where.

    ``step = detect_anomaly(step)``. The function itself stays as it is: the same compiled program,
    the same bits. Behind it one pass over its results asks whether they are finite, and each call
    waits for the answer. What the function would overwrite is copied before, so that a failed call
    can be run again: by :func:`find_anomaly`, which says the layer, the operation and the line.

    A run that does not use it pays nothing. A long one need not use it from the start: restore the
    last save before the loss was not finite, and go on with it from there.

    Args:
        fn: A step of ``training.train_step``, or any other function of arrays that can be compiled.
        skipped: Whether a step that a ``precision.grad_scaler`` skips is an anomaly. By default it
            is not: the infinities of scaled float16 gradients are what the scaler is for. A loss
            that is not finite always is one.

    Returns:
        The function, with the check. It takes and returns what ``fn`` does.

    Raises:
        TypeError: ``fn`` is not a function; when called, it is part of a larger program.
        FloatingPointError: when called, a result is not finite. Its ``args[0]`` is the
            :class:`Anomaly`.

    PyTorch:
        ``with torch.autograd.detect_anomaly():`` around the loop, ``set_detect_anomaly(True)``
        before it. There the backward pass alone is looked at, and NaN alone, after every function;
        here the whole step is, infinities too, and only a step that fails is looked into.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(jnp.log(params["w"] * batch)), (model_state, {})
        >>> tx = ja.optimizers.sgd(lr=0.1)
        >>> step = ja.training.train_step(ja.training.gradients(loss_fn), tx)
        >>> state = ja.training.train_state({"w": jnp.ones(2)}, tx)
        >>> step = ja.monitoring.detect_anomaly(step)
        >>> state, _ = step(state, jnp.array([1.0, 2.0]))
        >>> try:
        ...     step(state, jnp.array([0.0, 1.0]))
        ... except FloatingPointError as error:
        ...     found = error.args[0]
        >>> print(found.step, found.first.name, found.first.phase, found.first.output)
        1 log forward 1 inf of 2
    """
    if not is_function(fn):
        raise TypeError(
            f"fn must be a function of arrays, as a step of training.train_step is, got {fn!r:.80}"
        )
    overwrites: list[bool] | None = None  # which arguments, once it is known

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal overwrites
        check_not_traced("detect_anomaly", jax.tree.leaves((args, kwargs)))
        known = overwrites if overwrites is not None and len(overwrites) == len(args) else None
        kept = [
            _copied(arg) if known is None or known[index] else arg for index, arg in enumerate(args)
        ]
        results = fn(*args, **kwargs)
        overwrites = [any(map(is_donated, jax.tree.leaves(arg))) for arg in args]
        if (bad := _bad_results(results, kept, skipped)) is None:
            return results
        found = find_anomaly(fn, *kept, skipped=skipped, **kwargs)
        step = getattr(kept[0], "step", None) if kept else None
        number = None if step is None else int(jnp.asarray(step))
        raise FloatingPointError(found or Anomaly(number, None, None, None, (), tuple(bad)))

    return cast(F, call)


def _bad_results(results: Any, args: Any, skipped: bool) -> list[str] | None:
    """Return the names of the results that are an anomaly, None where there are none."""
    kinds = _look(results)
    if not any(kinds):
        return None
    names = named_results(results)
    already = kinds_by_name(args, _look(args[0])) if args else {}
    leaves = dict(zip(names, jax.tree.leaves(results), strict=True))
    is_exempt = not skipped and bool(leaves.get("metrics.skipped", False))
    bad = not_finite(names, kinds, already, is_exempt=is_exempt)
    return [names[index] for index in bad] or None


def _look(tree: Any) -> list[int]:
    """Return for each leaf of a tree what it holds that is not finite."""
    leaves = jax.tree.leaves(tree)
    dtypes = (getattr(leaf, "dtype", None) or jnp.result_type(leaf) for leaf in leaves)
    places = [i for i, dtype in enumerate(dtypes) if jnp.issubdtype(dtype, jnp.inexact)]
    found = [0] * len(leaves)
    asked = on_host(_kinds([leaves[index] for index in places])) if places else ()
    for index, kind in zip(places, asked, strict=True):
        found[index] = int(kind)
    return found


def _copied(tree: Any) -> Any:
    """Return a tree with copies of its arrays, which one program makes."""
    leaves, treedef = jax.tree.flatten(tree)
    places = [index for index, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    for index, copy in zip(places, _copies([leaves[i] for i in places]), strict=True):
        leaves[index] = copy
    return treedef.unflatten(leaves)


@jax.jit
def _copies(arrays: list[jax.Array]) -> list[jax.Array]:
    """Return copies of arrays, in their places."""
    return [jnp.copy(array) for array in arrays]


@jax.jit
def _kinds(arrays: list[Any]) -> jax.Array:
    """Return what each of some arrays holds that is not finite."""
    return kinds_of([jnp.asarray(array) for array in arrays])
