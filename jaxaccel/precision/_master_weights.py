"""float32 copies of parameters in half precision."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxaccel._call_repr import shows_call
from jaxaccel._check_trees import check_parameters, check_slot, check_state
from jaxaccel._checked import checked_but
from jaxaccel._checks import check_params_given
from jaxaccel._functions import check_transformation
from jaxaccel._math import compute_dtype
from jaxaccel._tree import is_none, short_repr, takes_shapes
from jaxaccel._types import Params, State, Updates
from jaxaccel.precision._stochastic_rounding import wide


class MasterWeightsState(NamedTuple):
    """State of :func:`master_weights`."""

    master: Params
    """The parameters in float32; ``None`` where they are as wide themselves."""
    inner_state: State
    """State of the transformation inside, over the parameters in float32."""

    is_elementwise = True
    __repr__ = short_repr


@shows_call
@checked_but("tx")
def master_weights(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    r"""Let an optimizer step on float32 copies of parameters that are kept in half precision.

    .. math:: \theta^{32} \leftarrow \theta^{32} + \Delta(g, \theta^{32}), \qquad
        \theta \leftarrow \operatorname{round}(\theta^{32})

    A bfloat16 number does not move by less than a 512th of itself, and at the end of a training
    most updates are smaller. The copies take the small steps; the model, its activations and what
    devices send each other stay in half precision.

    Args:
        tx: The optimizer, which is given parameters and gradients in float32.

    Returns:
        A transformation with a :class:`MasterWeightsState`. Updates of half-precision parameters
        come in float32, so that a parameter is the rounded copy once they are added.

    Raises:
        ValueError: ``update`` is called without parameters, or with others than ``init``.
        TypeError: ``tx`` is not a transformation.

    PyTorch:
        Loops write it by hand: copies ``p.detach().clone().float()`` in the optimizer, ``.grad``
        copied over, and ``p.copy_(master)`` after the step (apex's O2, DeepSpeed). The moments are
        in float32 too, where those of a bfloat16 parameter are in bfloat16.
        :func:`stochastic_rounding` needs no copies.

    Example:
        >>> import jax.numpy as jnp
        >>> import optax
        >>> import jaxaccel as ja
        >>> w = {"plain": jnp.ones((), jnp.bfloat16)}
        >>> for tx in (ja.optimizers.sgd(lr=1.0), ja.precision.master_weights(optax.sgd(1.0))):
        ...     params, state = w, tx.init(w)
        ...     for _ in range(100):
        ...         grads = {"plain": jnp.full((), -0.001, jnp.bfloat16)}
        ...         updates, state = tx.update(grads, state, params)
        ...         params = optax.apply_updates(params, updates)
        ...     print(params["plain"])
        1
        1.10156

    References:
        Micikevicius et al. Mixed Precision Training. 2018. https://arxiv.org/abs/1710.03740
    """
    check_transformation("master_weights", tx)
    inner = optax.with_extra_args_support(tx)

    @takes_shapes
    def init(params: Params) -> State:
        check_parameters(params)
        return MasterWeightsState(jax.tree.map(_copy, params), inner.init(wide(params)))

    def update(
        updates: Updates, state: State, params: Params | None = None, **extra: object
    ) -> tuple[Updates, State]:
        check_params_given(params, "master_weights")
        check_state("master_weights", MasterWeightsState, state)
        check_slot("master_weights", state.master, params)
        masters = jax.tree.map(_master, params, state.master, is_leaf=is_none)
        moves, inner_state = inner.update(wide(updates), state.inner_state, masters, **extra)
        moved = jax.tree.map(_moved, state.master, moves, is_leaf=is_none)
        out = jax.tree.map(_update, params, moved, moves, is_leaf=is_none)
        return out, MasterWeightsState(moved, inner_state)

    return optax.GradientTransformationExtraArgs(init, update)


def _copy(param: Any) -> Any:
    """Return a copy in float32, or nothing of what is as wide."""
    dtype = jnp.result_type(param)
    return None if compute_dtype(dtype) == dtype else jnp.asarray(param, compute_dtype(dtype))


def _master(param: Any, master: Any) -> Any:
    """Return what the optimizer steps on."""
    return param if master is None else master


def _moved(master: Any, move: Any) -> Any:
    """Return the copy after an update."""
    return master if master is None or move is None else master + move


def _update(param: Any, moved: Any, move: Any) -> Any:
    """Return the update that leads a parameter to its rounded copy."""
    if moved is None or move is None:
        return move
    return moved.astype(param.dtype).astype(moved.dtype) - param.astype(moved.dtype)
