"""An optimizer's state, kept in half precision between steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_state
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_transformation
from jaxaccel._tree import initial_step, next_step, short_repr, takes_shapes
from jaxaccel._types import Count, Params, State, Updates
from jaxaccel.precision._stochastic_rounding import rounded_at_random


class LowPrecisionState(NamedTuple):
    """State of :func:`low_precision_state`."""

    step: jax.Array
    """int32 scalar: finished updates, by which the random bits are drawn."""
    inner_state: State
    """State of the transformation inside: its float32 arrays in bfloat16, but not its numbers."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx")
def low_precision_state(
    tx: optax.GradientTransformation, *, stochastic: bool = True, seed: Count = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Keep the moments of an optimizer in bfloat16: half of their memory.

    Every update computes in float32 and rounds what it stores. To nearest, an average with
    :math:`\beta_2 = .999` stands still where it should move by a thousandth, since bfloat16 takes
    no step below a 512th; rounded at random it is right on average. What it costs is in the table
    of the page on mixed precision.

    Args:
        tx: The optimizer. :func:`master_weights` stands outside of it: inside, its float32 copies
            would be kept in bfloat16 too.
        stochastic: Round at random; ``False``: to nearest.
        seed: Of the random bits, which also depend on the step and on the array.

    Returns:
        A transformation with a :class:`LowPrecisionState`. Scalars, such as learning rates and
        corrections, and wider arrays are kept as they are. Of bfloat16 parameters the state is in
        bfloat16 anyway; here it is rounded at random too.

    Raises:
        TypeError: ``tx`` is not a transformation, ``seed`` not an integer.

    PyTorch:
        None of its own optimizers does so. Their state has the parameters' dtype, and that of
        bfloat16 parameters is rounded to nearest, and so stands still.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.precision.low_precision_state(ja.optimizers.adamw(lr=0.1))
        >>> w = jnp.ones(3)
        >>> updates, state = tx.update(w, tx.init(w), w)
        >>> print(state.inner_state.exp_avg.dtype, updates.dtype)
        bfloat16 float32
    """
    check_transformation("low_precision_state", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        state = jax.tree.map(lambda leaf: _rounded(leaf, None), inner.init(params))
        return LowPrecisionState(initial_step(params), state)

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_state("low_precision_state", LowPrecisionState, state)
        held = jax.tree.map(_wide, state.inner_state)
        moves, new_state = inner.update(updates, held, params, **extra)
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        leaves, treedef = jax.tree.flatten(new_state)
        rounded = [
            _rounded(leaf, jax.random.fold_in(key, index) if stochastic else None)
            for index, leaf in enumerate(leaves)
        ]
        return moves, LowPrecisionState(next_step(state.step), treedef.unflatten(rounded))

    return optax.GradientTransformationExtraArgs(init, update)


def _wide(leaf: Any) -> Any:
    """Return an array of the state as the optimizer computes with it."""
    return leaf.astype(jnp.float32) if leaf.ndim and leaf.dtype == jnp.bfloat16 else leaf


def _rounded(leaf: Any, key: Any) -> Any:
    """Return an array of the state as it is kept; single numbers stay."""
    if not leaf.ndim or leaf.dtype != jnp.float32:
        return leaf
    if key is None:
        return leaf.astype(jnp.bfloat16)
    return rounded_at_random(leaf, jax.random.bits(key, leaf.shape, jnp.uint16))
