"""Clipping of every gradient entry by itself."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_state
from jaxaccel._checked import checked_after
from jaxaccel._checks import check_non_negative
from jaxaccel._counts import schedule_step
from jaxaccel._math import in_dtype, value_at
from jaxaccel._tree import initial_step, next_step, short_repr, takes_shapes, update_leaves
from jaxaccel._types import Hyperparameter, Params, State, Updates


class ClipGradValueState(NamedTuple):
    """State of :func:`clip_grad_value`."""

    step: jax.Array
    """int32 scalar: finished updates, for a scheduled ``clip_value``."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_after
def clip_grad_value(clip_value: Hyperparameter) -> optax.GradientTransformationExtraArgs:
    r"""Clamp every gradient entry to :math:`[-c, c]`; NaN stays NaN.

    .. math:: g \leftarrow \min(\max(g, -c), c)

    Args:
        clip_value: The bound :math:`c`, at least 0: a number, a JAX scalar or a schedule.

    Returns:
        A transformation of gradients. Shapes and dtypes stay; ``None`` leaves stay ``None``.

    Raises:
        ValueError: ``clip_value`` is negative.
        TypeError: ``clip_value`` is not a number, a JAX scalar or a schedule; or a gradient
            is complex.

    PyTorch:
        ``torch.nn.utils.clip_grad_value_``: same numbers. A negative bound, which gives PyTorch
        a constant gradient, is an error here. Left out: ``foreach``.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.transforms.clip_grad_value(0.5)
        >>> g = jnp.array([0.2, -3.0])
        >>> clipped, state = tx.update(g, tx.init(g))
        >>> print(clipped)
        [ 0.2 -0.5]
    """
    check_non_negative("clip_value", clip_value, "Invalid clip_value")

    @takes_shapes
    def init(params: Params) -> State:
        return ClipGradValueState(step=initial_step(params))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        del params
        check_state("clip_grad_value", ClipGradValueState, state)
        for leaf in jax.tree.leaves(updates):
            if jnp.iscomplexobj(leaf):
                raise TypeError(
                    f"clip_grad_value: complex gradients have no order to clip by (got a leaf of "
                    f"dtype {leaf.dtype}); use clip_grad_norm"
                )
        bound = value_at(clip_value, schedule_step(extra, state.step), "clip_value")
        (clipped,) = update_leaves(
            lambda _, grad: (_clamp(grad, *in_dtype(grad.dtype, bound)),), updates, None, ()
        )
        return clipped, ClipGradValueState(next_step(state.step))

    return optax.GradientTransformationExtraArgs(init, update)


def _clamp(grad, bound):
    """Return ``grad`` clamped to ``[-bound, bound]``."""
    return jnp.clip(grad, -bound, bound)
