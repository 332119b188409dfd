"""How the devices' gradients become one, where that is not a plain mean, and its memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from jaxaccel._checked import checked_but
from jaxaccel._tree import is_none, path_name, short_repr
from jaxaccel._types import AxisName, GradientFunction, Gradients, Params, Placement
from jaxaccel.parallel._mesh import check_automatic, check_is_here, device_count, entry_of
from jaxaccel.parallel._modes import Local, by_shard_map
from jaxaccel.parallel._per_device import Own, per_device
from jaxaccel.parallel._placement import known_axes


class Memory(NamedTuple):
    """What a hook remembers from step to step: arrays by the names of parameters."""

    own: dict[str, dict[str, Any]]
    """What each device has of its own, in the unit of gradients: their errors."""
    shared: dict[str, Any]
    """What is the same on all devices."""


class CommHook(NamedTuple):
    """How gradients are reduced over devices."""

    reduce: Callable[[dict[str, Any], Memory, tuple[str, ...]], tuple[dict[str, Any], Memory]]
    """``reduce(grads, memory, axes) -> (means, memory)``, what one device does, inside of
    ``shard_map``: of its gradients by name it makes the means over devices, the same on all."""
    init: Callable[[dict[str, Any], int], Memory] | None = None
    """``init(params, devices) -> memory`` of one device; ``None``: nothing is remembered."""


class CommState(NamedTuple):
    """A model's state, and what a hook remembers from step to step."""

    model_state: Any
    """The model's own, which the loss function is given."""
    own: dict[str, dict[str, Any]]
    """What each device has of its own, by its number on a first axis, which is split over them."""
    shared: dict[str, Any]
    """What is the same on all devices."""

    __repr__ = short_repr


@checked_but("axis")
def comm_state(
    comm_hook: CommHook,
    params: Params,
    model_state: Any = (),
    *,
    mesh: Mesh | AbstractMesh,
    axis: AxisName = "data",
) -> tuple[CommState, Placement]:
    """Return a model's state with the memory of a hook, and where a training state's arrays live.

    Args:
        comm_hook: The hook that :func:`data_parallel` is given.
        params: The parameters, or their shapes.
        model_state: What else the model carries, which the loss function is given.
        mesh: The mesh that :func:`data_parallel` is given.
        axis: The mesh axis that the batch is split over, or a tuple of them.

    Returns:
        ``(model_state, placement)``, both for ``training.train_state(params, tx, model_state,
        mesh=mesh, placement=placement)``: a :class:`CommState`, on an abstract mesh and of shapes
        with shapes for arrays, and the placement, which splits the devices' own arrays and leaves
        the rest whole on each. The model's own state is ``state.model_state.model_state``.

    Raises:
        ValueError: The mesh lacks the axis, or is of devices that are not here.
        TypeError: ``comm_hook`` is not a hook, ``params`` is not made of arrays.

    PyTorch:
        The ``state`` of ``DistributedDataParallel.register_comm_hook(state, hook)``, such as
        ``PowerSGDState``: there an object beside the model, here part of what is saved.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> mesh = ja.parallel.make_mesh(devices=jax.devices()[:1])
        >>> hook = ja.parallel.power_sgd_hook(min_compression_rate=0.5)
        >>> state, _ = ja.parallel.comm_state(hook, {"w": jnp.ones((3, 2))}, mesh=mesh)
        >>> print(state.own["error_dict"]["w"].shape, state.shared["iter"])
        (1, 3, 2) 0
    """
    axes = known_axes(mesh, axis)
    devices, split = device_count(mesh, axes), PartitionSpec(entry_of(axes))
    leaves = jax.tree_util.tree_leaves_with_path(params)
    shapes = {
        path_name(path): jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf))
        for path, leaf in leaves
    }

    def initial() -> Memory:
        memory = Memory({}, {}) if comm_hook.init is None else comm_hook.init(shapes, devices)
        every = jax.tree.map(lambda x: jnp.broadcast_to(x[None], (devices, *x.shape)), memory.own)
        return memory._replace(own=every)

    def placement(path: Any, _: Any) -> PartitionSpec:
        return split if path_name(path).startswith("model_state.own.") else PartitionSpec()

    if not isinstance(mesh, Mesh) or any(isinstance(p, jax.ShapeDtypeStruct) for _, p in leaves):
        memory = jax.eval_shape(initial)
    else:  # made where it lives: on one device alone there may be no room for all
        check_is_here(mesh)
        places = Memory(NamedSharding(mesh, split), NamedSharding(mesh, PartitionSpec()))  # pyright: ignore[reportArgumentType]
        memory = jax.jit(initial, out_shardings=places)()
    return CommState(model_state, *memory), placement


def by_comm_hook(
    hook: CommHook,
    gradient_fn: GradientFunction,
    mesh: Mesh | AbstractMesh,
    axes: tuple[str, ...],
    weight: Callable[[Any], Any] | None,
) -> Local:
    """Run on each device's rows, and reduce the gradients as a hook does."""
    check_automatic("comm_hook", mesh)

    def local(held: Any, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
        params, own, shared = held
        memory = Memory(jax.tree.map(lambda leaf: leaf[0], own), shared)

        def averaged(of_rows: Own) -> Own:
            def run(*arguments: Any) -> Gradients:
                found = of_rows(*arguments)
                grads, kept = _reduced(hook, found.grads, memory, scale, axes)
                own = jax.tree.map(lambda leaf: leaf[None], kept.own)
                # In the gradients' place, because only they are handed on as they are.
                return found._replace(grads=(grads, own, kept.shared))

            return run

        return per_device(gradient_fn, axes, weight, averaged)(
            params, model_state, batch, scale, key
        )

    whole, split = PartitionSpec(), PartitionSpec(axes)
    specs = (whole, split, whole)
    mapped = by_shard_map(local, mesh, axes, lambda _: (specs, Gradients(specs, whole, whole)))  # pyright: ignore[reportArgumentType]

    def run(rows: list[int | None], params: Params, model_state: Any, *rest: Any) -> Gradients:
        if hook.init is None:
            found = mapped(rows, (params, {}, {}), model_state, *rest)
            return found._replace(grads=found.grads[0])
        _check(model_state, params, hook.init, device_count(mesh, axes))
        inner, own, shared = model_state
        found = mapped(rows, (params, own, shared), inner, *rest)
        grads, own, shared = found.grads
        return Gradients(grads, CommState(found.model_state, own, shared), found.metrics)

    return run


def _reduced(
    hook: CommHook, grads: Any, memory: Memory, scale: Any, axes: tuple[str, ...]
) -> tuple[Any, Memory]:
    """Return the means, and the new memory, which has no loss scale and knows no infinities."""
    leaves, treedef = jax.tree_util.tree_flatten_with_path(grads, is_leaf=is_none)
    names = [path_name(path) for path, _ in leaves]
    given = {name: g for name, (_, g) in zip(names, leaves, strict=True) if g is not None}
    size = 1.0 if scale is None else scale
    own = jax.tree.map(lambda e: e * jnp.asarray(size, e.dtype), memory.own)
    means, kept = hook.reduce(given, Memory(own, memory.shared), axes)
    # A step that a scaler skips applies nothing: what was held back stays so.
    is_finite = jnp.all(jnp.array([jnp.all(jnp.isfinite(mean)) for mean in means.values()]))
    errors = jax.tree.map(
        lambda new, old: jnp.where(is_finite, new / jnp.asarray(size, new.dtype), old),
        kept.own,
        memory.own,
    )
    return treedef.unflatten([means.get(name) for name in names]), Memory(errors, kept.shared)


def _check(model_state: Any, params: Params, init: Any, devices: int) -> None:
    """Raise unless a state has the memory of the hook, of these parameters and devices."""
    remedy = (
        "make it by parallel.comm_state(comm_hook, params, model_state, mesh=mesh), of the same "
        "hook, mesh and parameters"
    )
    if not isinstance(model_state, CommState):
        raise TypeError(
            "a comm_hook that remembers needs a CommState for model_state, got "
            f"{type(model_state).__name__}; {remedy}"
        )
    leaves = jax.tree_util.tree_leaves_with_path(params)
    shapes = {path_name(p): jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for p, leaf in leaves}
    wanted = jax.eval_shape(lambda: init(shapes, devices))
    own = jax.tree.map(lambda x: (devices, *x.shape), wanted.own)
    found = jax.tree.map(jnp.shape, (model_state.own, model_state.shared))
    if found != (own, jax.tree.map(jnp.shape, wanted.shared)):
        raise ValueError(
            f"model_state has the memory {model_state!r:.200}, which is not that of this hook on "
            f"{devices} devices; {remedy}"
        )
