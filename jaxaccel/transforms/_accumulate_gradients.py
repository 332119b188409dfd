"""Gradient accumulation around any optimizer: one step on the mean of several gradients."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_gradients, check_parameters, check_state
from jaxaccel._checked import checked_but
from jaxaccel._checks import check_positive_integer
from jaxaccel._functions import check_transformation
from jaxaccel._math import compute_dtype, in_dtype
from jaxaccel._tree import (
    initial_scalar,
    initial_step,
    is_none,
    short_repr,
    takes_shapes,
    unmoved_like,
)
from jaxaccel._types import Count, Params, State, Updates


class AccumulateGradientsState(NamedTuple):
    """State of :func:`accumulate_gradients`."""

    micro_step: jax.Array
    """int32 scalar: micro-batches in the buffer, 0 after every step of the optimizer."""
    weight: jax.Array
    """Sum of their weights, a scalar in JAX's default float."""
    grad: Params
    """Weighted sum of their gradients, like the parameters, in at least float32. After a step it
    still has the last sum, which counts for nothing: ``micro_step`` is 0."""
    inner_state: State
    """State of the transformation inside."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx", "steps")
def accumulate_gradients(
    tx: optax.GradientTransformation, steps: Count
) -> optax.GradientTransformationExtraArgs:
    r"""Collect the gradients of several micro-batches, then let an optimizer step on their mean.

    .. math:: g = \frac{\sum_a w_a\,g_a}{\sum_a w_a}

    The sum is over the micro-batches in the buffer, usually ``steps`` of them. On all other calls
    the update changes no parameter and the state of ``tx`` stays: its step, and with it every
    schedule in it, counts its own steps.

    Two extra arguments of ``update``, both of which may be traced: ``weight``, the number of tokens
    of this micro-batch (whose gradients are a mean over them), makes the mean one over tokens;
    left out it is 1, and with 0 the gradients count for nothing, even if they are NaN.
    ``flush=True`` steps now, on what is in the buffer together with this micro-batch: for the last,
    incomplete batch of an epoch. With ``weight=0`` and any gradients that is what was there before;
    if nothing was, nothing changes.

    Args:
        tx: Any transformation: whatever should see the mean, clipping too.
        steps: Micro-batches per step of ``tx``, a plain integer of at least 1.

    Returns:
        A transformation with an :class:`AccumulateGradientsState`: one buffer, the size of the
        gradients, is all the memory that it adds. Other extra arguments are handed to ``tx``, with
        the values of the call on which it steps.

    Raises:
        ValueError: ``steps`` is below 1.
        TypeError: ``tx`` is not a transformation, or ``steps`` is not an integer.

    PyTorch:
        ``(loss / A).backward()`` on A micro-batches, then one ``optimizer.step()``: same numbers.
        Half-precision gradients are summed in float32 and their mean is rounded once, where
        PyTorch's ``.grad`` is in half precision and rounded at each. The buffer takes the place of
        ``.grad`` between calls. ``optax.MultiSteps`` has no weights and no flush.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.transforms.accumulate_gradients(ja.optimizers.sgd(lr=1.0), steps=2)
        >>> w = jnp.zeros(2)
        >>> state = tx.init(w)
        >>> for g in (jnp.array([1.0, 2.0]), jnp.array([3.0, 4.0])):
        ...     updates, state = tx.update(g, state, w)
        ...     print(updates)
        [-0. -0.]
        [-2. -3.]
    """
    steps = check_positive_integer("accumulation steps", steps)
    check_transformation("accumulate_gradients", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return AccumulateGradientsState(
            micro_step=initial_step(params),
            weight=initial_scalar(params, jnp.result_type(float)),
            grad=jax.tree.map(_empty_buffer, params),
            inner_state=inner.init(params),
        )

    def update(
        updates: Updates,
        state: State,
        params: Params | None = None,
        *,
        weight: float | jax.Array | None = None,
        flush: bool | jax.Array = False,
        skipped_steps: Any = None,
        **extra: object,
    ) -> tuple[Updates, State]:
        del skipped_steps  # micro-batches, after which no scheduler steps
        check_state("accumulate_gradients", AccumulateGradientsState, state)
        check_gradients("accumulate_gradients", updates, state.grad)
        if weight is not None:
            weight = jnp.asarray(weight, state.weight.dtype).reshape(())
        micro_step, total = state.micro_step + 1, state.weight + (1 if weight is None else weight)
        add = functools.partial(_add, weight=weight, begins=state.micro_step == 0)

        # Added outside of the branches: a compiler adds where the backward pass makes a gradient.
        # On a v5e, around adamw, bytes a parameter: a whole step (eight layers of 1024) moves 149,
        # and 173 where the optimizer steps; the update alone 28 and 52. optax.MultiSteps, which
        # computes every update and keeps one in ``steps``: 161 and 44, always.
        buffer = jax.tree.map(add, updates, state.grad, is_leaf=is_none)
        likes = updates if params is None else params

        def wait(buffer: Any, inner_state: Any) -> Any:
            del buffer
            return jax.tree.map(_unmoved, updates, likes, is_leaf=is_none), inner_state

        def step(buffer: Any, inner_state: Any) -> Any:
            mean = jax.tree.map(lambda g, s: _mean(g, s, total), updates, buffer, is_leaf=is_none)
            moves, inner_state = inner.update(mean, inner_state, params, **extra)
            return jax.tree.map(_move, updates, likes, moves, is_leaf=is_none), inner_state

        is_full = jnp.logical_or(micro_step == steps, flush)
        steps_now = is_full & (total > 0)
        moves, inner_state = jax.lax.cond(steps_now, step, wait, buffer, state.inner_state)
        micro_step, total = (jnp.where(is_full, jnp.zeros_like(x), x) for x in (micro_step, total))
        return moves, AccumulateGradientsState(micro_step, total, buffer, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _add(grad, buffer, *, weight, begins):
    """Return the weighted sum of one array's gradients with one more; weight 0 adds nothing.

    What is in the buffer at the first of them counts for nothing: the last step has used it.
    """
    sum = jnp.where(begins, jnp.zeros_like(buffer), buffer)
    if grad is None:
        return sum
    grad = grad.astype(buffer.dtype)
    if weight is None:
        return sum + grad
    (factor,) = in_dtype(buffer.dtype, weight)
    return jnp.where(weight == 0, sum, sum + factor * grad)


def _mean(grad, buffer, total):
    """Return the mean gradient in the dtype that gradients come in; ``None`` stays ``None``."""
    return None if grad is None else (buffer / total.astype(buffer.dtype)).astype(grad.dtype)


def _unmoved(grad, like):
    """Return the update that changes no bit of a parameter; ``None`` where there is none."""
    del grad
    return None if like is None else unmoved_like(jnp.asarray(like, jnp.result_type(like)))


def _move(grad, like, move):
    """Return an update in its parameter's dtype; without a gradient it changes nothing."""
    return _unmoved(grad, like) if grad is None else jnp.asarray(move, jnp.result_type(like))


def _empty_buffer(param: jax.Array) -> jax.Array:
    """Return zeros like a parameter, in the dtype in which its gradients are summed."""
    return jnp.zeros_like(param, dtype=compute_dtype(jnp.result_type(param)))
