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
from jaxaccel._functions import check_function, check_transformation
from jaxaccel._keys import check_random_key
from jaxaccel._packed import has_packed
from jaxaccel._tree import initial_step, short_repr
from jaxaccel._types import Key, Params, Placement
from jaxaccel.parallel import distribute_state, replicate
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
    placement: Placement | None = None,
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
        placement: Where each array lives on the mesh, as ``parallel.fully_shard`` and
            ``parallel.zero`` return it, or any ``(path, array) -> PartitionSpec``, of paths such as
            ``"params.layer1.0.weight"``; default: everywhere. The optimizer's state is made in its
            places, and never whole on one device.
        scaler: The scaler (``precision.grad_scaler``) that the step is given too, for its ``init``.

    Returns:
        A :class:`TrainState` in the parameters' dtypes, at step 0.

    Raises:
        ValueError: ``mesh`` is of devices that are not here, or there is a ``placement`` without
            a mesh.
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
    if placement is not None:
        if mesh is None:
            raise ValueError("placement needs the mesh that it speaks of; pass mesh=, too")
        check_function("train_state", "placement", placement, "(path, array) -> PartitionSpec", 2)
    place = functools.partial(_placed, mesh, placement)
    params, model_state, key = (
        place("params", params),
        place("model_state", model_state),
        place("key", key),
    )
    # The runtime copies in its own time, and the arrays may share memory that is the user's.
    jax.block_until_ready((params, model_state))
    opt_state = place("opt_state", _initial(tx, params, mesh, placement))
    if has_packed(params):
        check_elementwise(opt_state)
    of_scaler = None if scaler is None else place("scaler", scaler.init(params))
    return TrainState(initial_step(params), params, model_state, opt_state, key, of_scaler)


def _placed(mesh: Mesh | None, placement: Placement | None, field: str, tree: Any) -> Any:
    """Return new arrays for a field of the state, where they are to live."""
    if mesh is None:
        return jax.tree.map(copied, tree)
    if placement is None:
        return replicate(tree, mesh)
    return distribute_state({field: tree}, mesh, placement)[field]


def _initial(
    tx: optax.GradientTransformation, params: Params, mesh: Mesh | None, placement: Placement | None
) -> Any:
    """Return the optimizer's first state; with a placement no device ever holds all of it."""
    if mesh is None or placement is None:
        return tx.init(params)

    program, shapes = jax.make_jaxpr(tx.init, return_shape=True)(params)
    avals = jax.tree.structure(shapes).unflatten(program.out_avals)
    placed = distribute_state({"opt_state": shapes}, mesh, placement)["opt_state"]

    def where(leaf: Any, aval: Any) -> Any:
        is_host = aval.memory_space is jax.memory.Space.Host
        return leaf.sharding.with_memory_kind("pinned_host") if is_host else leaf.sharding

    places = jax.tree.map(where, placed, avals)
    return jax.jit(tx.init, out_shardings=places)(params)
