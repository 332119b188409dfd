"""GradScaler."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_arrays, check_state
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_positive_integer, known_value
from jaxaccel._tree import next_step, path_name
from jaxaccel._types import Count, Scalar
from jaxaccel.precision._grad_scaler_state import (
    GradScalerState,
    initial_state,
    state_dict_of,
    state_from,
)
from jaxaccel.precision._loss_scale import next_scale, scaled, unscaled


class GradScaler(NamedTuple):
    """A loss scale that finds its own size: pure functions, without a branch on the host."""

    init: Callable[..., Any]
    """``init(params=()) -> state``, beside the parameters; ``None`` of a scaler that is off, whose
    functions change nothing."""
    scale: Callable[[Any, Any], Any]
    """``scale(outputs, state) -> outputs``: times the scale; a loss in at least float32."""
    unscale: Callable[[Any, Any], tuple[Any, jax.Array]]
    """``unscale(grads, state) -> (grads, found_inf)``: over the scale, and a bool: is any gradient
    infinite or NaN? Once for each optimizer where there are several."""
    step: Callable[[Any, Any, Any], Any]
    """``step(new, old, found_inf) -> tree``: parameters and optimizer state after a step, or, where
    an infinity was found, the old ones, every bit of them."""
    update: Callable[..., Any]
    """``update(state, *found_infs, new_scale=None) -> state``: with the answers of all optimizers,
    once after all of their steps; or with a scale of one's own."""
    state_dict: Callable[[Any], dict[str, Any]]
    """``state_dict(state)``: PyTorch's five keys; empty where the scaler is off."""
    load_state_dict: Callable[[Mapping[str, Any]], Any]
    """``load_state_dict(state_dict) -> state``, of PyTorch's too; ``skipped`` begins at 0."""
    enabled: bool
    """Whether it does anything."""
    schedule_skipped_steps: bool
    """Whether schedules go on at steps that are skipped."""


@shows_call
@checked_after
def grad_scaler(
    init_scale: Scalar = 65536.0,
    growth_factor: Scalar = 2.0,
    backoff_factor: Scalar = 0.5,
    growth_interval: Count = 2000,
    enabled: bool = True,
    *,
    dynamic: bool = True,
    min_scale: Scalar = 0.0,
    hysteresis: Count = 1,
    consecutive_hysteresis: bool = False,
    allow_fp16: bool = False,
    schedule_skipped_steps: bool = True,
) -> GradScaler:
    r"""Scale a loss so that float16 gradients do not vanish, by as much as they bear.

    .. math::
        s \leftarrow \begin{cases}
            s \cdot \text{backoff} & \text{a gradient is infinite or NaN; the step is skipped} \\
            s \cdot \text{growth} & \text{after each } \text{growth\_interval good steps in a row,
            unless that is infinite} \\
            s & \text{otherwise}
        \end{cases}

    ``training.train_step(..., scaler=)`` runs it in PyTorch's order, and :func:`scaled_gradients`
    around an optimizer in a loop of one's own. bfloat16 has float32's range and needs none.

    Args:
        init_scale: The first scale.
        growth_factor: More than 1.
        backoff_factor: Less than 1.
        growth_interval: Steps in a row without an infinity after which the scale grows.
        enabled: ``False``: all functions hand on what they are given, and the state is ``None``.
        dynamic: ``False``: the scale stays at ``init_scale``. Steps with an infinity are skipped.
        min_scale: The scale is not reduced below this.
        hysteresis: The infinity, counted since the scale has last grown, from which on the scale is
            reduced: 1, the first one.
        consecutive_hysteresis: Count infinities in a row: every good step begins anew.
        allow_fp16: Take float16 gradients too, of float16 parameters, and unscale them in float32.
        schedule_skipped_steps: Schedules go on at skipped steps, as in PyTorch's plain loop, which
            calls ``scheduler.step()`` every time; ``False``: they stand still, as accelerate's.

    Returns:
        A :class:`GradScaler`, whose state is a :class:`GradScalerState` of scalars, or ``None``
        where it is off.

    Raises:
        ValueError: ``growth_factor`` is not above 1 or ``backoff_factor`` not below; a count is
            less than 1. When called: gradients are float16 (unless ``allow_fp16``), there are no
            gradients, ``update`` is given no answer, or a ``state_dict`` lacks a key.
        TypeError: An argument is not a number; a state is of another kind.

    PyTorch:
        ``torch.amp.GradScaler``: the same scale, to the last bit, after any answers, down to 0 and
        up to infinity, for factors that float32 holds (1.1 is rounded to it, where PyTorch
        multiplies in double). Gradients are looked at before they are unscaled: at the scale 0
        they are 0 and become NaN, unless ``min_scale`` keeps it above. The state is separate, and
        a second ``unscale`` between two updates is not noticed. Left out: ``device``.
        ``allow_fp16`` is on in FSDP's ``ShardedGradScaler``, which leaves them in float16.
        What comes after ``enabled`` is not PyTorch's; :func:`deepspeed_grad_scaler` says it in
        DeepSpeed's words.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> scaler = ja.precision.grad_scaler(init_scale=4.0, growth_interval=2)
        >>> state = scaler.init()
        >>> for grad in (jnp.inf, 6.0, 6.0, 6.0):
        ...     grads, found_inf = scaler.unscale(jnp.array([grad]), state)
        ...     state = scaler.update(state, found_inf)
        ...     print(grads, found_inf, state.scale)
        [inf] True 2.0
        [3.] False 2.0
        [3.] False 4.0
        [1.5] False 4.0

    References:
        Micikevicius et al. Mixed Precision Training. 2018. https://arxiv.org/abs/1710.03740
    """
    if not enabled:
        return _switched_off()
    numbers = {
        "scale": _number("init_scale", init_scale),
        "growth_factor": _number("growth_factor", growth_factor),
        "backoff_factor": _number("backoff_factor", backoff_factor),
    }
    if not numbers["growth_factor"] > 1.0:
        raise ValueError(f"The growth factor must be > 1.0.\nGot {growth_factor}")
    if not 0.0 < numbers["backoff_factor"] < 1.0:
        raise ValueError(f"The backoff factor must be < 1.0.\nGot {backoff_factor}; above 0 too")
    lowest = _number("min_scale", min_scale)
    counts = {
        "growth_interval": check_positive_integer("growth_interval", growth_interval),
        "hysteresis": check_positive_integer("hysteresis", hysteresis),
    }
    waits = counts["hysteresis"] > 1
    first = {**numbers, **counts, "growth_tracker": 0, "skipped": 0}

    def update(state: Any, *found_infs: Any, new_scale: Any = None) -> Any:
        check_state("update of a grad_scaler", GradScalerState, state)
        if new_scale is not None:
            return state._replace(scale=jnp.asarray(new_scale, jnp.float32).reshape(()))
        if not found_infs:
            raise ValueError(
                "No inf checks were recorded prior to update.\nGive update(state, found_inf) what "
                "unscale has returned, of all optimizers"
            )
        found = functools.reduce(jnp.logical_or, (jnp.asarray(f).astype(bool) for f in found_infs))
        new = _next(state, found, dynamic, lowest)
        if waits:
            new = _waiting(state, new, found, counts["hysteresis"], consecutive_hysteresis)
        return new._replace(skipped=jnp.where(found, next_step(state.skipped), state.skipped))

    return GradScaler(
        init=lambda params=(): initial_state(first, waits, params),
        scale=_scale,
        unscale=functools.partial(_unscale, allow_fp16=allow_fp16),
        step=_step,
        update=update,
        state_dict=state_dict_of,
        load_state_dict=functools.partial(state_from, first, waits),
        enabled=True,
        schedule_skipped_steps=schedule_skipped_steps,
    )


def _switched_off() -> GradScaler:
    """Return the functions of a scaler that is off."""
    return GradScaler(
        init=lambda params=(): None,
        scale=lambda outputs, state: outputs,
        unscale=lambda grads, state: (grads, jnp.asarray(False)),
        step=_step,
        update=lambda state, *found_infs, new_scale=None: None,
        state_dict=lambda state: {},
        load_state_dict=lambda state_dict: None,
        enabled=False,
        schedule_skipped_steps=False,  # there are none
    )


def _number(name: str, value: Any) -> float:
    """Return a number that is known now."""
    known = known_value(name, value)
    if known is None:
        raise TypeError(f"{name} must be a number that is known now, got {value!r:.80}")
    return known


def _scale(outputs: Any, state: Any) -> Any:
    """Return outputs times the scale."""
    check_state("scale of a grad_scaler", GradScalerState, state)
    check_arrays("outputs", outputs)
    return jax.tree.map(lambda output: scaled(jnp.asarray(output), state.scale), outputs)


def _unscale(grads: Any, state: Any, *, allow_fp16: bool) -> tuple[Any, jax.Array]:
    """Return gradients over the scale, and whether one of them is not finite."""
    check_state("unscale of a grad_scaler", GradScalerState, state)
    check_arrays("gradients", grads)
    floating = [
        (path, grad)
        for path, grad in jax.tree.leaves_with_path(grads)
        if jnp.issubdtype(jnp.result_type(grad), jnp.inexact)
    ]
    if not floating:
        raise ValueError(
            "No inf checks were recorded for this optimizer.\nThere are no gradients to unscale"
        )
    for path, grad in floating:
        if jnp.result_type(grad) == jnp.float16 and not allow_fp16:
            raise ValueError(
                f"Attempting to unscale FP16 gradients.\nThat of {path_name(path)!r} is float16: "
                "keep parameters in float32 and compute in float16 (precision.autocast, "
                "precision.cast), or say grad_scaler(allow_fp16=True)"
            )
    found = [jnp.any(~jnp.isfinite(jnp.asarray(grad))) for _, grad in floating]
    return jax.tree.map(lambda grad: _unscaled(grad, state), grads), functools.reduce(
        jnp.logical_or, found
    )


def _unscaled(grad: Any, state: GradScalerState) -> Any:
    """Return one gradient over the scale; the row numbers of a sparse one as they are."""
    grad = jnp.asarray(grad)
    if not jnp.issubdtype(grad.dtype, jnp.inexact):
        return grad
    return unscaled(grad, state.scale)


def _step(new: Any, old: Any, found_inf: Any) -> Any:
    """Return what a step has made, or what was before where an infinity was found."""
    found = jnp.asarray(found_inf).astype(bool)
    return jax.tree.map(lambda n, o: jnp.where(found, o, n), new, old)


def _next(state: Any, found: jax.Array, dynamic: bool, lowest: float) -> Any:
    """Return the state with the next scale and count."""
    if not dynamic:
        return state
    scale, tracker = next_scale(
        state.scale,
        state.growth_tracker,
        found,
        state.growth_factor,
        state.backoff_factor,
        state.growth_interval,
    )
    if lowest:
        scale = jnp.where(found, jnp.maximum(scale, jnp.float32(lowest)), scale)
    return state._replace(scale=scale, growth_tracker=tracker)


def _waiting(state: Any, new: Any, found: jax.Array, hysteresis: int, consecutive: bool) -> Any:
    """Return the next state where only the infinities after some others reduce the scale."""
    waits = found & (state.hysteresis > 1)
    has_grown = new.growth_tracker <= state.growth_tracker  # which otherwise counts on
    begins = ~found if consecutive else ~found & has_grown
    rest = jnp.where(begins, jnp.full_like(state.hysteresis, hysteresis), state.hysteresis)
    return new._replace(
        scale=jnp.where(waits, state.scale, new.scale), hysteresis=rest - waits.astype(rest.dtype)
    )
