"""What a training run carries from step to step."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import optax
from flax import nnx
from jax.sharding import Mesh

from jaxaccel._check_packed import check_elementwise
from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked_but
from jaxaccel._donated import check_not_donated
from jaxaccel._filled import copied
from jaxaccel._functions import check_transformation
from jaxaccel._keys import check_random_key
from jaxaccel._packed import has_packed
from jaxaccel._tree import initial_step, short_repr
from jaxaccel._types import Key, Params
from jaxaccel.parallel import replicate
from jaxaccel.precision import GradScaler


class TrainState(NamedTuple):
    """Everything that a step changes: a pytree, to be donated, saved and sharded as one."""

    step: jax.Array
    """int32 scalar: finished calls of the step, those whose update was skipped among them."""
    params: Params
    """The parameters that are trained."""
    model_state: Any
    """Running statistics, counters, keys and frozen parameters; ``()`` when there are none."""
    opt_state: Any
    """The optimizer's state."""
    key: jax.Array | None = None
    """A typed random key, into which every step folds its number; ``None``: the loss draws none."""
    scaler: Any = None
    """The state of a ``precision.grad_scaler``, with the count of skipped steps; ``None``: none."""

    __repr__ = short_repr


@checked_but("tx")
def train_state(
    params: Params,
    tx: optax.GradientTransformation,
    model_state: Any = (),
    *,
    key: Key | None = None,
    mesh: Mesh | None = None,
    scaler: GradScaler | None = None,
) -> TrainState:
    """Return the state that a run starts from.

    The arrays are copied, so that donating the state to the first step leaves the model alive.

    Args:
        params: The initial parameters, as they are or :func:`packed`.
        tx: The optimizer, for its ``init``.
        model_state: What else the model carries (see :func:`split_model`).
        key: A typed key (``jax.random.key(seed)``) for a loss function that takes ``key=``, which
            is another one at every step; default: none is given.
        mesh: Replicate everything on this mesh; default: leave it where it is.
        scaler: The scaler (``precision.grad_scaler``) that the step is given too, for its ``init``.

    Returns:
        A :class:`TrainState` in the parameters' dtypes, at step 0.

    Raises:
        ValueError: ``mesh`` is of devices that are not here.
        TypeError: ``key`` is not a typed key, ``tx`` was not called or is not a transformation,
            ``scaler`` is not a scaler, ``params`` is a model, or it is packed and ``tx`` does not
            say that it treats every number by itself.

    PyTorch:
        ``model.state_dict()``, ``optimizer.state_dict()``, ``scaler.state_dict()`` and the
        generator's state in one value.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state = ja.training.train_state({"w": jnp.ones(2)}, ja.optimizers.sgd())
        >>> print(state.step, state.opt_state)
        0 SGDState(step=0, momentum_buffer=None)
    """
    check_transformation("train_state", tx)
    if isinstance(params, nnx.Module) or callable(getattr(params, "init", None)):
        raise TypeError(
            f"params must be a tree of arrays, got {type(params).__name__}; of a model take those "
            "that training.split_model(model) returns: train_state(params, tx, model_state)"
        )
    check_random_key(key, may_be_raw=False)
    check_arrays("params", params)
    check_arrays("model_state", model_state)
    check_not_donated(key=key)
    place = functools.partial(jax.tree.map, copied)
    if mesh is not None:
        place = functools.partial(replicate, mesh=mesh)
    params, model_state, key = place((params, model_state, key))
    # The runtime copies in its own time, and the arrays may share memory that is the user's.
    jax.block_until_ready((params, model_state))
    opt_state = place(tx.init(params))
    if has_packed(params):
        check_elementwise(opt_state)
    of_scaler = None if scaler is None else place(scaler.init(params))
    return TrainState(initial_step(params), params, model_state, opt_state, key, of_scaler)
