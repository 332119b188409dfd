"""What users' functions return of a step: gradients, and a model's state like the one given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax

from jaxaccel._check_trees import check_arrays, check_gradients
from jaxaccel._spread import spread_of, with_spread
from jaxaccel._tree import brief, path_name
from jaxaccel._types import GradientFunction, Gradients, Params


def checked_gradients(taker: str, gradient_fn: GradientFunction) -> GradientFunction:
    """Return a gradient function that raises for what its wrappers cannot go on with."""

    def gradient_fn_checked(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        found = gradient_fn(params, model_state, batch, loss_scale=loss_scale, key=key)
        _check_gradients(taker, found)
        check_gradients(taker, found.grads, params)
        check_model_state("the gradient function", found.model_state, model_state)
        return found

    return with_spread(gradient_fn_checked, spread_of(gradient_fn))


def _check_gradients(taker: str, found: Any) -> None:
    """Raise unless a gradient function has returned what one returns."""
    form = "training.Gradients(grads, model_state, metrics)"
    if not isinstance(found, Gradients):
        raise TypeError(
            f"{taker}: a gradient function must return {form}, got {type(found).__name__} "
            f"{brief(found):.80}; training.gradients(loss_fn) makes one that does"
        )
    metrics: Any = found.metrics
    if not isinstance(metrics, Mapping) or "loss" not in metrics:
        raise TypeError(
            f'{taker}: a gradient function must return metrics with the mean loss, {{"loss": '
            f"loss}}, got {brief(metrics):.80}; add it: {form}"
        )
    check_arrays("metrics", dict(metrics))


def check_model_state(returner: str, found: Any, given: Any) -> None:
    """Raise for a returned state that the next step could not be given as this one was."""
    if jax.tree.structure(found) != jax.tree.structure(given):
        raise TypeError(
            f"{returner} returned model_state as {_of_state(found)}, where it was given "
            f"{_of_state(given)}; return the one that apply returned, or the one it was given: "
            "(loss, (model_state, metrics))"
        )
    check_arrays("model_state", found)
    pairs = zip(jax.tree.leaves_with_path(found), jax.tree.leaves(given), strict=True)
    for (path, leaf), other in pairs:
        new, old = jax.typeof(leaf), jax.typeof(other)
        is_same = new.dtype == old.dtype or getattr(old, "weak_type", False)
        if new.shape != old.shape or not is_same:
            raise TypeError(
                f"{returner} returned model_state at {path_name(path)!r} as {new.str_short()}, "
                f"where it was given {old.str_short()}; keep its shape and convert it back: "
                f"new.astype(old.dtype)"
            )


def _of_state(model_state: Any) -> str:
    """Return a state in brief, with its class where that does not show."""
    name = type(model_state).__name__
    is_seen = model_state is None or isinstance(model_state, (tuple, list, dict))
    return brief(model_state) if is_seen else f"{name} {brief(model_state)}"


def state_and_metrics(found: Any) -> tuple[Any, dict[str, Any]]:
    """Return what a step returns; raise for another form."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise TypeError(
            f"step(state, batch) must return (state, metrics), got {found!r:.80}; make one with "
            "training.train_step"
        )
    state, metrics = found
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"the metrics of step(state, batch) must be {{name: number}}, got {metrics!r:.80}"
        )
    return state, dict(metrics)
