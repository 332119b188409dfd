"""Lookahead: every k steps of any optimizer, fall back part of the way."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_slot, check_state
from jaxaccel._checked import checked_but
from jaxaccel._checks import as_integer, check_params_given, check_positive_integer, known_value
from jaxaccel._counts import schedule_step
from jaxaccel._functions import check_transformation
from jaxaccel._math import lerp, value_at
from jaxaccel._tree import initial_step, next_step, short_repr, takes_shapes, update_leaves
from jaxaccel._types import Count, Hyperparameter, Params, State, Updates


class LookaheadState(NamedTuple):
    """State of :func:`lookahead`."""

    step: jax.Array
    """int32 scalar: finished updates."""
    slow: Params
    """Slow weights, like the parameters."""
    inner_state: State
    """State of the transformation inside."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx", "k", "alpha", "start")
def lookahead(
    tx: optax.GradientTransformation,
    k: Count = 5,
    alpha: Hyperparameter = 0.5,
    *,
    start: Count = 0,
) -> optax.GradientTransformationExtraArgs:
    r"""Let another optimizer run ahead, and follow it by a share of the way every ``k`` steps.

    The parameters are the fast weights :math:`\theta`, plain parameters as ever; the slow weights
    :math:`\phi`, equal to them at the start, are in the state. Whenever ``k`` divides the number
    of steps since the start:

    .. math::
        \phi &\leftarrow \phi + \alpha\,(\theta - \phi) \\
        \theta &\leftarrow \phi

    Args:
        tx: Any optimizer. Its own state (moments, step) goes on across the jumps.
        k: Steps of ``tx`` between two jumps, a plain integer of at least 1.
        alpha: The share of the way that the slow weights go; at 1 the result is that of ``tx`` bit
            for bit. A number, a JAX scalar or a schedule ``step -> value``, read as
            :obj:`Hyperparameter` says: one that falls lets the slow weights settle.
        start: Steps that ``tx`` takes alone before the slow weights stay behind, a plain integer of
            at least 0.

    Returns:
        A transformation whose ``update(updates, state, params)`` returns additive updates and a
        :class:`LookaheadState`. Extra arguments are handed to ``tx``.

    Raises:
        ValueError: ``k`` is below 1, ``start`` below 0, or ``update`` is called without parameters.
        TypeError: ``tx`` is not a transformation, ``k`` or ``start`` is not an integer, or
            ``alpha`` is not a number, a JAX scalar or a schedule.

    PyTorch:
        ``torch.optim`` has no Lookahead; the numbers are the paper's formula around PyTorch's
        optimizers. ``optax.lookahead`` has the same formula, but works on pairs of parameters,
        which the rest of a program must know about.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.optimizers.lookahead(ja.optimizers.sgd(lr=0.25), k=1)
        >>> w = jnp.array([1.0, -2.0])
        >>> updates, state = tx.update(2 * w, tx.init(w), w)
        >>> print(updates)
        [-0.25  0.5 ]

    References:
        Zhang, Lucas, Hinton, Ba. Lookahead Optimizer: k steps forward, 1 step back. 2019.
        https://arxiv.org/abs/1907.08610
    """
    k, start = check_positive_integer("k", k), _checked_start(start)
    known_value("alpha", alpha)
    check_transformation("lookahead", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        return LookaheadState(
            step=initial_step(params),
            slow=jax.tree.map(lambda p: jnp.array(p, jnp.result_type(p)), params),
            inner_state=inner.init(params),
        )

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_params_given(params, "lookahead")
        check_state("lookahead", LookaheadState, state)
        check_slot("lookahead", state.slow, params)
        updates, inner_state = inner.update(updates, state.inner_state, params, **extra)
        step = next_step(state.step)
        update_leaf = functools.partial(
            _update_leaf,
            jumps=(step > start) & ((step - start) % k == 0),
            follows=step <= start if start else False,
            alpha=value_at(alpha, schedule_step(extra, state.step), "alpha"),
        )
        updates, slow = update_leaves(update_leaf, updates, params, [state.slow])
        return updates, LookaheadState(step, slow, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _update_leaf(param, update, slow, *, jumps, follows, alpha):
    """Return the update of one array, and its slow weights."""
    fast = param + update
    slow = slow if follows is False else jnp.where(follows, fast, slow)
    reached = lerp(slow, fast, alpha)
    # Where they agree (alpha = 1), the inner update leads there without another rounding.
    update = jnp.where(jumps & (reached != fast), reached - param, update)
    return update, jnp.where(jumps, reached, slow)


def _checked_start(start: Any) -> int:
    """Return a number of steps, at least 0."""
    count = as_integer(start)
    if count is None:
        raise TypeError(f"start must be an integer, got {start!r}")
    if count < 0:
        raise ValueError(f"start must be at least 0, got {count}")
    return count
