"""What ZeRO and FSDP have in common: a gradient function over parameters in shares."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from jaxaccel._checks import as_integer
from jaxaccel._functions import check_function, check_gradient_function
from jaxaccel._returned import checked_gradients
from jaxaccel._tree import path_name
from jaxaccel._types import AxisName, GradientFunction, Gradients, Params, Placement
from jaxaccel.parallel._gathered_at_use import Reader
from jaxaccel.parallel._modes import by_shard_map, by_sharding
from jaxaccel.parallel._on_mesh import on_mesh
from jaxaccel.parallel._per_device import Own, per_device
from jaxaccel.parallel._placement import known_axes
from jaxaccel.parallel._sharding_rules import Rules, placement_of
from jaxaccel.parallel._shares import (
    Automatic,
    Explicit,
    Share,
    Split,
    is_split,
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
    axes, rules = _checked(name, mesh, options)
    gradient_fn = checked_gradients(name, gradient_fn)
    devices = math.prod(mesh.shape[axis] for axis in axes)

    def splits(params: Params) -> list[Split]:
        return [
            split_of(rules(path_name(path), leaf.shape), leaf.ndim, axes)
            for path, leaf in jax.tree_util.tree_leaves_with_path(params)
        ]

    def specs(params: Params) -> tuple[Any, Any]:
        treedef = jax.tree.structure(params)
        to = treedef.unflatten(map(spec_of, splits(params)))
        return (
            to if stage.splits_params else PartitionSpec(),
            to if stage.fields else PartitionSpec(),
        )

    if options.mode == "shard_map":
        notation: Any = Explicit(axes, devices, options.reduce_dtype)
    else:
        notation = Automatic(mesh)
    reader = Reader(notation, stage.again, stage.early)

    def with_splits(params: Params) -> Callable[[Own], Own]:
        found = splits(params) if stage.fields else [()] * len(jax.tree.leaves(params))
        return lambda own: _in_shares(own, reader, found, stage.splits_params, options.param_dtype)

    def run(rows: list[int | None], params: Params, *others: Any) -> Gradients:
        averaged = with_splits(params)
        if options.mode == "shard_map":
            local = per_device(gradient_fn, axes, options.weight, averaged)
            return by_shard_map(local, mesh, axes, specs)(rows, params, *others)

        def whole(
            params: Any, model_state: Any, batch: Any, *, loss_scale: Any, key: Any
        ) -> Gradients:
            def own(params: Any, model_state: Any, batch: Any, scale: Any, key: Any) -> Gradients:
                return gradient_fn(params, model_state, batch, loss_scale=scale, key=key)

            return averaged(own)(params, model_state, batch, loss_scale, key)

        return by_sharding(whole, mesh, axes)(rows, params, *others)

    found = on_mesh(run, mesh, axes, options.mode, options.batch_axes)
    return found, placement_of(rules, stage.fields)


def _in_shares(own: Own, reader: Reader, splits: list[Split], are_shares: bool, dtype: Any) -> Own:
    """Return the function of parameters in shares, whose gradients are the mean, in shares."""

    def run(params: Params, *others: Any) -> Gradients:
        leaves, treedef = jax.tree.flatten(params)
        pairs = zip([_narrow(leaf, dtype) for leaf in leaves], splits, strict=True)
        given = [Share(p, split) if are_shares and is_split(split) else p for p, split in pairs]
        rest, rest_tree = jax.tree.flatten(others)

        def flat(*arrays: Any) -> Gradients:
            others = rest_tree.unflatten(arrays[len(given) :])
            return own(treedef.unflatten(arrays[: len(given)]), *others)

        whole = jax.eval_shape(lambda: reader.whole(given))
        traced, shapes = jax.make_jaxpr(flat, return_shape=True)(*whole, *rest)
        has_gradient = [grad is not None for grad in treedef.flatten_up_to(shapes.grads)]
        moving = [place for place, has in enumerate(has_gradient) if has]
        of_grads = [splits[p] if is_split(splits[p]) else None for p in moving]
        of_others = len(traced.jaxpr.outvars) - len(of_grads)
        results = reader.run(
            traced.jaxpr,
            traced.consts,
            [*given, *rest],
            [*of_grads, *[None] * of_others],
            [*[False] * len(of_grads), *[True] * of_others],
        )
        results = reader.whole(results[:0]) + results
        means = [
            grad if split is not None else reader.collectives.mean(grad)
            for grad, split in zip(results, of_grads, strict=False)
        ]
        of_dtype = [g.astype(leaves[p].dtype) for g, p in zip(means, moving, strict=True)]
        found = reader.whole(results[len(of_grads) :])
        return jax.tree.unflatten(jax.tree.structure(shapes), [*of_dtype, *found])

    return run


def _narrow(leaf: Any, dtype: Any) -> Any:
    """Return a parameter in the dtype in which it is gathered and used."""
    is_floating = dtype is not None and jnp.issubdtype(leaf.dtype, jnp.floating)
    return leaf.astype(dtype) if is_floating else leaf


def _checked(name: str, mesh: Any, options: Options) -> tuple[tuple[str, ...], Rules]:
    """Return the axes of the batch and the rules, or raise."""
    if options.mode not in ("jit", "shard_map"):
        remedy = "; 'pmap' holds whole arrays only" if options.mode == "pmap" else ""
        raise ValueError(f"mode must be 'jit' or 'shard_map', got {options.mode!r}{remedy}")
    own = known_axes(mesh, options.axis)
    others = () if options.replica_axis is None else known_axes(mesh, options.replica_axis)
    if set(own) & set(others):
        raise ValueError(
            f"replica_axis must be another mesh axis than axis={options.axis!r}, got "
            f"{options.replica_axis!r}; the mesh has {tuple(mesh.shape)}"
        )
    axes = (*others, *own)
    if any(kind is AxisType.Explicit for kind in mesh.axis_types):
        raise ValueError(
            f"{name} needs a mesh with automatic axes, got {mesh.axis_types}; make it by "
            "parallel.make_mesh"
        )
    for argument in ("weight", "rules"):
        function = getattr(options, argument)
        if function is not None:
            form, count = {
                "weight": ("(batch) -> number", 1),
                "rules": ("(path, shape) -> spec", 2),
            }[argument]
            check_function(name, argument, function, form, count)
    if options.weight is not None and options.mode == "jit":
        raise ValueError("weight is for mode 'shard_map'; in 'jit' the loss is that of all rows")
    threshold = as_integer(options.threshold)
    if threshold is None or threshold < 0:
        raise ValueError(
            "param_persistence_threshold must be a number of elements, 0 or more, got "
            f"{options.threshold!r}"
        )
    return axes, Rules(mesh, own, options.rules, threshold)
