"""What ZeRO and FSDP have in common: a gradient function over parameters in shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from jaxaccel._functions import check_function, check_gradient_function
from jaxaccel._returned import checked_gradients
from jaxaccel._spread import check_not_spread
from jaxaccel._tree import is_none, path_name
from jaxaccel._types import AxisName, GradientFunction, Gradients, Params, Placement
from jaxaccel.parallel._gathered_at_use import Reader
from jaxaccel.parallel._in_shares import in_shares
from jaxaccel.parallel._mesh import check_automatic, device_count
from jaxaccel.parallel._modes import by_shard_map, by_sharding
from jaxaccel.parallel._on_mesh import on_mesh
from jaxaccel.parallel._per_device import Own, per_device
from jaxaccel.parallel._placement import known_axes
from jaxaccel.parallel._sharding_rules import Rules, placement_of
from jaxaccel.parallel._shares import (
    Automatic,
    Explicit,
    Split,
    spec_of,
    split_of,
)

Mode: TypeAlias = Literal["jit", "shard_map"]

PERSISTENCE_THRESHOLD = 1024
"""Of a float32 array no device's part fills a register of a TPU, which is of 1,024 numbers."""


class Stage(NamedTuple):
    """What is split, and how long a gathered parameter is kept."""

    fields: tuple[str, ...]
    """Of the training state."""
    again: bool = False
    """Parameters are gathered where they are used, and once more on the way back."""
    early: bool = True
    """Gradients are scattered where they are made."""

    @property
    def splits_params(self) -> bool:
        """Return whether parameters are split between steps."""
        return "params" in self.fields


class Options(NamedTuple):
    """What the strategies share."""

    axis: AxisName
    replica_axis: str | None
    param_dtype: Any
    reduce_dtype: Any
    rules: Callable[[str, tuple[int, ...]], Any] | None
    threshold: int
    weight: Callable[[Any], Any] | None
    batch_axes: Any
    mode: Mode


def sharded(
    name: str, gradient_fn: GradientFunction, mesh: Any, stage: Stage, options: Options
) -> tuple[GradientFunction, Placement]:
    """Return the gradient function for a state in shares, and where its arrays live."""
    check_gradient_function(name, gradient_fn)
    axes = _checked(name, mesh, options)
    check_not_spread(name, gradient_fn, axes)
    rules = Rules(mesh, known_axes(mesh, options.axis), options.rules, options.threshold)
    gradient_fn = checked_gradients(name, gradient_fn)
    devices = device_count(mesh, axes)
    is_explicit = options.mode == "shard_map"
    free = None if {*axes} == {*mesh.axis_names} else PartitionSpec.UNCONSTRAINED
    automatic = Automatic(mesh, free)
    notation = Explicit(axes, devices, options.reduce_dtype) if is_explicit else automatic
    reader = Reader(notation, stage.again, stage.early)

    def placements(params: Params) -> list[PartitionSpec]:
        found = jax.tree_util.tree_leaves_with_path(params)
        of = rules if stage.fields else lambda path, shape: PartitionSpec()
        return [of(path_name(path), leaf.shape) for path, leaf in found]

    def splits(params: Params) -> list[Split]:
        pairs = zip(placements(params), jax.tree.leaves(params), strict=True)
        return [split_of(spec, leaf.ndim, axes) for spec, leaf in pairs]

    def specs(params: Params) -> tuple[Any, Any]:
        everywhere: Any = PartitionSpec()
        to = jax.tree.structure(params).unflatten(map(spec_of, splits(params)))
        where = to if stage.splits_params else everywhere
        return where, Gradients(to, everywhere, everywhere)

    def run(rows: list[int | None], params: Params, *others: Any) -> Gradients:
        def averaged(own: Own) -> Own:
            wider = options.reduce_dtype is not None
            given = of_params, stage.splits_params, options.param_dtype, wider
            return in_shares(own, reader, *given)

        of_params = splits(params)
        if is_explicit:
            local = per_device(gradient_fn, axes, options.weight, averaged)
            return by_shard_map(local, mesh, axes, specs)(rows, params, *others)
        of_all_rows = _of_all_rows(gradient_fn, averaged)
        found = by_sharding(of_all_rows, mesh, axes)(rows, params, *others)
        return found._replace(grads=_placed(found.grads, placements(params), mesh))

    placement = placement_of(rules, stage.fields)
    return on_mesh(run, mesh, axes, options.mode, options.batch_axes, placement), placement


def _placed(grads: Any, specs: list[PartitionSpec], mesh: Any) -> Any:
    """Return gradients in their places, which the compiler might forget behind their last use."""
    leaves, treedef = jax.tree.flatten(grads, is_leaf=is_none)
    place = jax.lax.with_sharding_constraint
    return treedef.unflatten(
        None if leaf is None else place(leaf, NamedSharding(mesh, spec))
        for leaf, spec in zip(leaves, specs, strict=True)
    )


def _of_all_rows(gradient_fn: GradientFunction, averaged: Callable[[Own], Own]) -> GradientFunction:
    """Return the gradient function of the whole batch, its gradients split."""

    def own(params: Params, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
        return gradient_fn(params, model_state, batch, loss_scale=scale, key=key)

    def whole(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        return averaged(own)(params, model_state, batch, loss_scale, key)

    return whole


def _checked(name: str, mesh: Any, options: Options) -> tuple[str, ...]:
    """Return all axes that the batch is split over, replicas first, or raise."""
    if options.mode not in ("jit", "shard_map"):
        raise ValueError(
            f"mode must be 'shard_map' or 'jit', got {options.mode!r}; 'pmap', which holds whole "
            "arrays only, is one of parallel.data_parallel"
        )
    own, replica = known_axes(mesh, options.axis), options.replica_axis
    others = () if replica is None else known_axes(mesh, replica)
    if {*own} & {*others}:
        raise ValueError(
            f"replica_axis must be another mesh axis than axis={options.axis!r}, got {replica!r}; "
            f"the mesh has {tuple(mesh.shape)}"
        )
    check_automatic(name, mesh)
    if options.rules is not None:
        check_function(name, "rules", options.rules, "(path, shape) -> PartitionSpec or None", 2)
    if options.weight is not None:
        check_function(name, "weight", options.weight, "(batch) -> number", 1)
        if options.mode == "jit":
            raise ValueError(
                "weight is for mode='shard_map', got mode='jit', in which the loss is that of all "
                "rows and devices have no mean of their own; leave it out"
            )
    for argument in ("param_dtype", "reduce_dtype"):
        dtype = getattr(options, argument)
        if dtype is not None and not jnp.issubdtype(dtype, jnp.floating):
            raise TypeError(
                f"{argument} must be a floating-point dtype such as jnp.bfloat16, got {dtype!r}"
            )
    if options.reduce_dtype is not None and options.mode == "jit":
        raise ValueError(
            f"reduce_dtype is for mode='shard_map', got {options.reduce_dtype!r} with mode='jit', "
            "in which the compiler reduces in the gradients' own dtype; leave it out"
        )
    if options.threshold < 0:
        raise ValueError(
            "param_persistence_threshold must be a number of elements, 0 or more, got "
            f"{options.threshold!r}"
        )
    return (*others, *own)
