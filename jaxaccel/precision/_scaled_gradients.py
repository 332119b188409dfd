"""A GradScaler around an optimizer, for loops of one's own."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_state
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_transformation
from jaxaccel._tree import is_none, short_repr, takes_shapes, unmoved_like
from jaxaccel._types import Params, State, Updates
from jaxaccel.precision._grad_scaler import GradScaler


class ScaledGradientsState(NamedTuple):
    """State of :func:`scaled_gradients`."""

    scaler: Any
    """The state of the scaler, for ``scaler.scale(loss, state.scaler)``."""
    inner_state: State
    """State of the transformation inside."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx")
def scaled_gradients(
    tx: optax.GradientTransformation, scaler: GradScaler
) -> optax.GradientTransformationExtraArgs:
    """Unscale the gradients of a scaled loss, step or skip, and find the next scale.

    For a loop without ``training.train_step(..., scaler=)``, which has the scaler in its own state.

    Args:
        tx: The optimizer, with whatever should see unscaled gradients, such as clipping.
        scaler: The scaler (:func:`grad_scaler`).

    Returns:
        A transformation with a :class:`ScaledGradientsState`. A skipped update changes no parameter
        and nothing in the state of ``tx``.

    Raises:
        TypeError: ``tx`` is not a transformation, or ``scaler`` not a :class:`GradScaler`.
        ValueError: When called: the gradients are float16, or there are none.

    PyTorch:
        ``scaler.unscale_(optimizer); scaler.step(optimizer); scaler.update()`` of one optimizer.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> scaler = ja.precision.grad_scaler(init_scale=1024.0)
        >>> tx = ja.precision.scaled_gradients(ja.optimizers.sgd(lr=0.5), scaler)
        >>> w = jnp.ones(())
        >>> state = tx.init(w)
        >>> grads = jax.grad(lambda w: scaler.scale(w * w, state.scaler))(w)
        >>> updates, state = tx.update(grads, state, w)
        >>> print(grads, updates)
        2048.0 -1.0
    """
    check_transformation("scaled_gradients", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        return ScaledGradientsState(scaler.init(params), inner.init(params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_state("scaled_gradients", ScaledGradientsState, state)
        grads, found_inf = scaler.unscale(updates, state.scaler)
        if scaler.enabled and scaler.schedule_skipped_steps:
            extra = {"skipped_steps": state.scaler.skipped, **extra}
        moves, inner_state = inner.update(grads, state.inner_state, params, **extra)
        still = jax.tree.map(_unmoved, moves, is_leaf=is_none)
        return scaler.step(moves, still, found_inf), ScaledGradientsState(
            scaler.update(state.scaler, found_inf),
            scaler.step(inner_state, state.inner_state, found_inf),
        )

    return optax.GradientTransformationExtraArgs(init, update)


def _unmoved(move: Any) -> Any:
    """Return the update that changes no bit of a parameter."""
    return None if move is None else unmoved_like(jnp.asarray(move))
