"""Stochastic rounding: bfloat16 numbers that move by less than their last digit, on average."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_state
from jaxaccel._checked import checked_but
from jaxaccel._checks import check_params_given
from jaxaccel._functions import check_transformation
from jaxaccel._math import compute_dtype
from jaxaccel._tree import initial_step, is_none, next_step, short_repr, takes_shapes
from jaxaccel._types import Count, Params, State, Updates


class StochasticRoundingState(NamedTuple):
    """State of :func:`stochastic_rounding`."""

    step: jax.Array
    """int32 scalar: finished updates, by which the random bits are drawn."""
    inner_state: State
    """State of the transformation inside, over float32 parameters."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx")
def stochastic_rounding(
    tx: optax.GradientTransformation, seed: Count = 0
) -> optax.GradientTransformationExtraArgs:
    r"""Round the parameters up or down at random, so that their mean is what was to be rounded.

    .. math:: P(\text{up}) = \frac{x - \lfloor x \rfloor}{\lceil x \rceil - \lfloor x \rfloor},
        \qquad \operatorname{E}[\text{rounded}] = x

    A bfloat16 number is rounded to one of 256 in every power of two. An update of less than half of
    such a step is lost by rounding to nearest, at every step; here one in so many moves the number.
    It is what one takes where there is no memory for :func:`master_weights`.

    Args:
        tx: The optimizer, which is given parameters and gradients in float32.
        seed: Of the random bits, which also depend on the step and on the parameter.

    Returns:
        A transformation with a :class:`StochasticRoundingState`. Updates of bfloat16 parameters
        come in float32, and their sum with the parameter is the rounded number; whoever adds them
        rounds to nearest, which changes nothing any more. Other parameters are as without it.

    Raises:
        ValueError: ``update`` is called without parameters.
        TypeError: ``tx`` is not a transformation, ``seed`` not an integer.

    PyTorch:
        None of its own optimizers does so; those of torchao have ``bf16_stochastic_round=True``,
        the same arithmetic on other random bits.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> tx = ja.precision.stochastic_rounding(ja.optimizers.sgd(lr=1.0))
        >>> w = jnp.ones(1000, jnp.bfloat16)
        >>> updates, state = tx.update(jnp.full_like(w, -0.002), tx.init(w), w)
        >>> moved = (w + updates).astype(jnp.bfloat16)
        >>> print(jnp.unique(moved), f"{jnp.mean(updates):.4f}")
        [1 1.00781] 0.0020

    References:
        Gupta, Agrawal, Gopalakrishnan, Narayanan. Deep Learning with Limited Numerical Precision.
        2015. https://arxiv.org/abs/1502.02551

        Zamirai, Zhang, Aberger, De Sa. Revisiting BFloat16 Training. 2020.
        https://arxiv.org/abs/2010.06192
    """
    check_transformation("stochastic_rounding", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return StochasticRoundingState(initial_step(params), inner.init(wide(params)))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_params_given(params, "stochastic_rounding")
        check_state("stochastic_rounding", StochasticRoundingState, state)
        moves, inner_state = inner.update(wide(updates), state.inner_state, wide(params), **extra)
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        leaves, treedef = jax.tree.flatten(params, is_leaf=is_none)
        moved = [
            _move(leaf, move, jax.random.fold_in(key, index))
            for index, (leaf, move) in enumerate(
                zip(leaves, treedef.flatten_up_to(moves), strict=True)
            )
        ]
        return treedef.unflatten(moved), StochasticRoundingState(next_step(state.step), inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _move(leaf: Any, move: Any, key: Any) -> Any:
    """Return an update after which a bfloat16 parameter is rounded at random."""
    if leaf is None or move is None:
        return move
    if leaf.dtype != jnp.bfloat16:
        return move.astype(leaf.dtype)
    old = leaf.astype(jnp.float32)
    bits = jax.random.bits(key, leaf.shape, jnp.uint16)
    return rounded_at_random(old + move, bits).astype(jnp.float32) - old


def rounded_at_random(x: jax.Array, bits: jax.Array) -> jax.Array:
    """Return float32 numbers in bfloat16, rounded away from 0 where ``bits`` carry.

    bfloat16 is the upper half of float32. 16 random bits are added to the lower half: they carry
    over into the upper one in as many of 65,536 cases as the lower half says.
    """
    whole = jax.lax.bitcast_convert_type(x, jnp.uint32)
    upper = (whole + bits.astype(jnp.uint32)) & jnp.uint32(0xFFFF0000)
    found = jax.lax.bitcast_convert_type(upper, jnp.float32)
    return jnp.where(jnp.isfinite(x), found, x).astype(jnp.bfloat16)


def wide(tree: Any) -> Any:
    """Return a tree with half-precision leaves in float32."""
    return jax.tree.map(lambda leaf: leaf.astype(compute_dtype(jnp.result_type(leaf))), tree)
