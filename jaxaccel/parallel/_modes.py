"""Three notations for a function of (params, model_state, batch, scale, key) over a mesh.

Each is ``run(rows, *arguments)``, called under a trace; ``rows`` is the axis of each leaf of the
batch that holds its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from jaxaccel._types import GradientFunction, Gradients
from jaxaccel.parallel._placement import batch_specs

Local: TypeAlias = Callable[..., Gradients]
"""``(params, model_state, batch, scale, key) -> Gradients``, positional."""


def by_sharding(
    gradient_fn: GradientFunction, mesh: Mesh | AbstractMesh, axes: tuple[str, ...]
) -> Local:
    """Say where the batch lives; the compiler finds the collectives."""
    explicit = _explicit_axes(mesh)

    def run(rows: list[int | None], *arguments: Any) -> Gradients:
        specs = batch_specs(arguments[2], rows, axes)

        def whole(params: Any, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
            # Only the batch: a constraint on parameters would gather those that are sharded.
            where = specs if explicit else jax.tree.map(lambda s: NamedSharding(mesh, s), specs)
            batch = jax.lax.with_sharding_constraint(batch, where)
            return gradient_fn(params, model_state, batch, loss_scale=scale, key=key)

        for axis in axes:
            whole = _with_axis(whole, axis)
        if explicit:
            arguments = _on_explicit_axes(arguments, specs, mesh, axes)
        return _automatic(whole, explicit, NamedSharding(mesh, PartitionSpec()))(*arguments)

    return run


def by_shard_map(
    local: Local,
    mesh: Mesh | AbstractMesh,
    axes: tuple[str, ...],
    of_params: Callable[[Any], tuple[Any, Any]] | None = None,
) -> Local:
    """Run on each device's rows; the other axes of the mesh stay as they are.

    ``of_params`` says where the parameters live, and where the results are to; default: everywhere.
    """

    def run(rows: list[int | None], *arguments: Any) -> Gradients:
        specs, whole = batch_specs(arguments[2], rows, axes), PartitionSpec()
        where, to = (whole, whole) if of_params is None else of_params(arguments[0])
        explicit = _explicit_axes(mesh)
        if explicit:
            arguments = _on_explicit_axes(arguments, specs, mesh, axes)
        others = tuple(axis for axis in explicit if axis not in axes)
        mapped = jax.shard_map(
            _automatic(local, others, whole),
            mesh=mesh,
            in_specs=(where, whole, specs, whole, whole),
            out_specs=to,
            axis_names=set(axes),
        )
        found = mapped(*arguments)
        return found._replace(grads=jax.tree.map(_pinned, found.grads)) if others else found

    return run


def by_pmap(local: Local, mesh: Mesh | AbstractMesh, axes: tuple[str, ...]) -> Local:
    """Run on each device's rows, which get an axis of their own: JAX's oldest notation."""
    if len(mesh.shape) != 1:
        raise ValueError(
            f"mode 'pmap' needs a mesh of one axis, got {tuple(mesh.shape)}; use 'shard_map'"
        )
    if _explicit_axes(mesh):
        raise ValueError(
            f"mode 'pmap' needs an automatic axis, got the explicit {axes[0]!r}; use 'shard_map', "
            "or parallel.make_mesh, whose axes are automatic"
        )
    if jax.process_count() > 1:
        raise ValueError(
            f"mode 'pmap' runs in one process, got {jax.process_count()}; use 'shard_map'"
        )
    if not isinstance(mesh, Mesh):
        raise ValueError(
            f"mode 'pmap' needs a mesh of devices, got {mesh!r:.80}; use 'shard_map', or "
            "parallel.make_mesh()"
        )
    devices = list(mesh.devices.flat)

    def run(rows: list[int | None], *arguments: Any) -> Gradients:
        params, model_state, batch, *rest = arguments
        leaves, inner = jax.tree.flatten(batch)
        split = [
            leaf if axis is None else _by_device(leaf, axis, len(devices))
            for leaf, axis in zip(leaves, rows, strict=True)
        ]
        # Flat, because pmap does not take None inside a prefix of a tree.
        others, outer = jax.tree.flatten((params, model_state, *rest))

        def flat(*given: Any) -> Gradients:
            params, model_state, *rest = outer.unflatten(given[len(leaves) :])
            return local(params, model_state, inner.unflatten(given[: len(leaves)]), *rest)

        mapped = jax.pmap(
            flat,
            axis_name=axes[0],
            in_axes=(*rows, *[None] * len(others)),
            out_axes=None,
            devices=devices,
            axis_size=len(devices),
        )
        return mapped(*split, *others)

    return run


def _by_device(leaf: Any, axis: int, devices: int) -> Any:
    """Return a leaf of a batch whose rows have an axis of devices in front of them."""
    own = leaf.shape[axis] // devices
    return leaf.reshape(*leaf.shape[:axis], devices, own, *leaf.shape[axis + 1 :])


def _with_axis(function: Local, axis: str) -> Local:
    """Return the function with an axis name bound, over one device that has everything."""
    bound = jax.vmap(function, in_axes=None, out_axes=0, axis_name=axis, axis_size=1)
    return lambda *arguments: jax.tree.map(lambda x: x[0], bound(*arguments))


def _automatic(function: Local, explicit: tuple[str, ...], everywhere: Any) -> Local:
    """Return the function with its explicit axes left to the compiler, as automatic ones are.

    Gradients come back where their parameters are, the rest ``everywhere``.
    """
    if not explicit:
        return function

    def run(params: Any, *others: Any) -> Gradients:
        frozen: list[bool] = []

        def filled(params: Any, *others: Any) -> Gradients:
            found = function(params, *others)
            leaves, treedef = jax.tree.flatten(params)
            grads = treedef.flatten_up_to(found.grads)
            frozen[:] = [grad is None for grad in grads]
            # Where a frozen parameter has no gradient its own value holds the place.
            pairs = zip(grads, leaves, strict=True)
            return found._replace(grads=[p if g is None else g for g, p in pairs])

        leaves, treedef = jax.tree.flatten(params)
        of_params = [jax.typeof(leaf).sharding for leaf in leaves]
        where: Any = Gradients(of_params, everywhere, everywhere)
        automatic: Any = jax.sharding.auto_axes(filled, axes=explicit, out_sharding=where)
        found = automatic(params, *others)
        grads = [None if none else g for none, g in zip(frozen, found.grads, strict=True)]
        return found._replace(grads=treedef.unflatten(grads))

    return run


def _pinned(leaf: jax.Array) -> jax.Array:
    """Return an array where its type says that it is: beside automatic axes nobody sees to that."""
    return jax.sharding.reshard(leaf, jax.typeof(leaf).sharding)


def _explicit_axes(mesh: Mesh | AbstractMesh) -> tuple[str, ...]:
    """Return the axes whose shardings are part of the arrays' types."""
    pairs = zip(mesh.axis_names, mesh.axis_types, strict=True)
    return tuple(name for name, kind in pairs if kind is AxisType.Explicit)


def _on_explicit_axes(
    arguments: Any, specs: Any, mesh: Mesh | AbstractMesh, axes: tuple[str, ...]
) -> Any:
    """Return the arguments where a mesh with explicit axes wants them: it moves nothing itself.

    The batch is split; everything else has no axis of ``axes`` any more.
    """

    def whole(leaf: Any) -> jax.Array:
        spec = [_without(entry, axes) for entry in jax.typeof(leaf).sharding.spec]
        return jax.sharding.reshard(leaf, NamedSharding(mesh, PartitionSpec(*spec)))

    def split(leaf: Any, spec: PartitionSpec) -> jax.Array:
        return jax.sharding.reshard(leaf, NamedSharding(mesh, spec))

    params, model_state, batch, *rest = arguments
    batch = jax.tree.map(split, batch, specs) if set(axes) <= {*_explicit_axes(mesh)} else batch
    params, model_state, rest = jax.tree.map(whole, (params, model_state, rest))
    return (params, model_state, batch, *rest)


def _without(entry: Any, axes: tuple[str, ...]) -> Any:
    """Return an entry of a PartitionSpec without some axes."""
    names = entry if isinstance(entry, tuple) else (entry,)
    return tuple(name for name in names if name is not None and name not in axes) or None
