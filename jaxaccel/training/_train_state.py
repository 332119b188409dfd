"""What a training run carries from step to step."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from jaxaccel._types import Params
from jaxaccel.parallel import replicate


class TrainState(NamedTuple):
    """Everything that a step changes: a pytree, to be donated, saved and sharded as one."""

    params: Params
    """The parameters."""
    model_state: Any
    """Running statistics, counters and keys of the model; ``()`` when it has none."""
    opt_state: Any
    """The optimizer's state."""


def train_state(
    params: Params,
    tx: optax.GradientTransformation,
    model_state: Any = (),
    *,
    mesh: Mesh | None = None,
) -> TrainState:
    """Return the state that a run starts from.

    The arrays are copied, so that donating the state to the first step leaves the model alive.

    Args:
        params: The initial parameters.
        tx: The optimizer, for its ``init``.
        model_state: What else the model carries (see :func:`split_model`).
        mesh: Replicate everything on this mesh; default: leave it where it is.

    Returns:
        A :class:`TrainState` in the parameters' dtypes.

    PyTorch:
        ``model.state_dict()`` and ``optimizer.state_dict()`` in one value.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> state = ja.training.train_state({"w": jnp.ones(2)}, ja.optimizers.adamw())
        >>> print(int(state.opt_state.step))
        0
    """
    place = functools.partial(jax.tree.map, jnp.copy)
    if mesh is not None:
        place = functools.partial(replicate, mesh=mesh)
    params, model_state = place((params, model_state))
    return TrainState(params, model_state, place(tx.init(params)))
