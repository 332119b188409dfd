"""How a training step is called: with a state, one batch and arrays for the optimizer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxaccel._check_trees import check_arrays
from jaxaccel._counts import check_schedule_step
from jaxaccel._donated import is_donated
from jaxaccel.training._train_state import TrainState

_GIVEN_ELSEWHERE = {
    "lr": "give a schedule to the optimizer, adamw(lr=schedule), or set it between steps: make the "
    "optimizer with optimizers.param_groups and take "
    "state = optimizers.set_hyperparams(state, lr=...)",
    "training": "leave it out: the loss function gives it to the model, "
    "apply(params, model_state, x, training=True)",
    "key": "give it to the state, training.train_state(params, tx, key=key); each step then hands "
    "the loss function a key of its own",
}
"""Words that a loop has at hand and no transformation reads -> where they belong."""


def called_with_a_batch(
    step: Callable[..., Any], lowered: Callable[..., Any], **facts: Any
) -> Callable[..., Any]:
    """Return a step that refuses a call without a batch, or with several arguments in its place.

    Its ``lowered`` is not called ``lower``: ``jax.jit(step)`` takes over what a function has, and
    its own would be lost. ``facts``: what else it says of itself, for :func:`checklist`.
    """

    @functools.wraps(step)
    def call(*given: Any, **extra: Any) -> Any:
        if len(given) != 2:
            _check_call(given, extra)
        return step(*given, **extra)

    vars(call).update(facts, lowered=lowered)
    return call


def without_given(step: Callable[..., Any]) -> Callable[..., Any]:
    """Return the step in a ``functools.partial``, by which some of its arguments are given."""
    while isinstance(step, functools.partial):
        step = step.func
    return step


def facts_of(step: Callable[..., Any]) -> dict[str, Any]:
    """Return what a step says of itself, also one with some of its arguments given."""
    step = without_given(step)
    return {name: getattr(step, name) for name in ("max_grad_norm",) if hasattr(step, name)}


def _check_call(given: tuple[Any, ...], extra: dict[str, Any]) -> None:
    """Raise unless there are a state and a batch, in their places or by name."""
    if len(given) > 2:
        places = ", ".join("xyzw"[: len(given) - 1]) if len(given) < 6 else "x, y, ..."
        raise TypeError(
            f"a step takes (state, batch), got {len(given)} arguments; give what belongs to a "
            f"batch as one tuple, step(state, ({places})), which the loss function takes apart"
        )
    missing = [name for name in ("state", "batch")[len(given) :] if name not in extra]
    if missing:
        raise TypeError(
            f"a step takes (state, batch), and {' and '.join(missing)} "
            f"{'are' if len(missing) > 1 else 'is'} missing; call step(state, batch), or "
            "step(state, (x, y)) with what belongs to a batch as one tuple"
        )


def check_step_arguments(state: Any, batch: Any, extra: dict[str, Any]) -> None:
    """Raise for what a compiled step cannot be given."""
    check_state(state)
    check_arrays("batch", batch)
    if extra:
        _check_extra(extra)


def check_state(state: Any) -> None:
    """Raise unless a state is a step's."""
    if not isinstance(state, TrainState):
        raise TypeError(
            f"a step takes a TrainState, got {type(state).__name__}; make one with "
            "training.train_state(params, tx), and call step(state, batch)"
        )


def check_scaler(state: TrainState, is_scaled: bool) -> None:
    """Raise unless a step with a scaler has a state with one, and one without has none."""
    if (state.scaler is not None) == is_scaled:
        return
    has, remedy = "has none", "give it to both: train_state(..., scaler=scaler)"
    if not is_scaled:
        has, remedy = "has one", "give it to both: train_step(..., scaler=scaler)"
    raise TypeError(
        f"the step was made {'with' if is_scaled else 'without'} a scaler, and its state {has}, "
        f"scaler={state.scaler!r:.80}; {remedy}"
    )


def check_not_overwritten(state: TrainState) -> None:
    """Raise for a state that an earlier step was allowed to overwrite."""
    if any(map(is_donated, jax.tree.leaves(state))):
        raise ValueError(
            "the state was given to an earlier step, which has overwritten it; go on with the "
            "state that the step returned, or make it with train_step(..., donate=False)"
        )


def _check_extra(extra: dict[str, Any]) -> None:
    """Raise for an extra argument that a compiled program cannot be given, or nobody reads."""
    if extra.get("schedule_step") is not None:
        check_schedule_step(extra["schedule_step"])
    for name, value in extra.items():
        if name in _GIVEN_ELSEWHERE:
            raise TypeError(f"a step takes no {name}=, got {value!r:.60}; {_GIVEN_ELSEWHERE[name]}")
        for leaf in jax.tree.leaves(value):
            if callable(leaf) or isinstance(leaf, (str, bytes)):
                raise TypeError(
                    f"extra argument {name!r} of a step must be made of arrays or numbers, got "
                    f"{leaf!r}; functions and texts are arguments of the transformation itself"
                )
        check_arrays(f"extra argument {name!r}", value)
