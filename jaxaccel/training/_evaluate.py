"""Means over a whole set of rows, whatever the batches."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import Mesh

from jaxaccel._arrays import is_array
from jaxaccel._check_trees import check_arrays
from jaxaccel._checked import checked_but
from jaxaccel._functions import check_function
from jaxaccel._math import compute_dtype
from jaxaccel._packed import unpacked
from jaxaccel._processes import check_global, is_global
from jaxaccel._rows import count_rows, row_axes
from jaxaccel._types import AxisName, Params
from jaxaccel.parallel import shard_batch
from jaxaccel.training._metrics import check_same_names
from jaxaccel.training._train_state import TrainState


@checked_but("metric_fn", "batches")
def evaluate(
    metric_fn: Callable[[Any, Any, Any], dict[str, jax.Array]],
    params: Params,
    model_state: Any,
    batches: Iterable[Any],
    *,
    weight: Callable[[Any], jax.Array] | None = None,
    batch_axes: Any = 0,
    mesh: Mesh | None = None,
    axis: AxisName = "data",
    whole: bool | None = None,
) -> dict[str, float]:
    r"""Return the means of some metrics over all rows of a set.

    .. math:: m = \frac{\sum_i w_i m_i}{\sum_i w_i}

    over the entries i of all batches. Each row counts once: a smaller last batch is filled up to
    the size of the first (which compiles nothing anew and divides over the devices), and what was
    filled in does not count. Sums over a batch are taken on the device, those over batches in
    double precision.

    Args:
        metric_fn: ``(params, model_state, batch) -> {name: array}``, one entry a row, or several
            (tokens): shapes ``(rows, ...)``. Run the model with ``training=False``, so that rows do
            not depend on each other. It is compiled once; a new function is compiled anew.
        params: The parameters.
        model_state: The rest of the model's state. Neither is changed.
        batches: One pass over the set.
        weight: ``batch -> array``, what each row, or each entry, counts for (1 for a token, 0 for
            padding), of the metrics' shape or the first axes of it. Default: all the same.
        batch_axes: The axis of each leaf that holds its rows, ``None`` for a leaf without: one for
            all or a prefix of the batch's tree, as ``jax.vmap``'s ``in_axes``.
        mesh: Split the batches over this mesh, on which the parameters must be already. Default:
            they go where they go.
        axis: The mesh axis to split over, or a tuple of them.
        whole: As for ``parallel.shard_batch``: whether each of several processes is given whole
            batches. By default each goes through its own rows, in as many batches as the others,
            the last of which may be smaller or empty, and the means are over all of them.

    Returns:
        ``{name: mean}``, Python floats; NaN where nothing counted.

    Raises:
        ValueError: There was no batch, its leaves disagree on the number of rows, or a metric does
            not have one entry a row; or one of several processes hands in rows of its own to
            parameters of all, without ``mesh``.
        TypeError: ``metric_fn`` is not a function, ``params`` is a :class:`TrainState`, ``batches``
            is not an iterable, or a batch is not made of arrays.

    PyTorch:
        ``model.eval()`` and ``torch.no_grad()`` around a loop that adds up
        ``F.cross_entropy(..., reduction="sum")`` and divides by the number of rows.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def metric_fn(params, model_state, batch):
        ...     return {"error": jnp.abs(batch - params)}
        >>> batches = [jnp.array([1.0, 2.0]), jnp.array([6.0])]
        >>> ja.training.evaluate(metric_fn, 0.0, (), batches)
        {'error': 3.0}
    """
    check_function("evaluate", "metric_fn", metric_fn, "(params, model_state, batch) -> {...}", 3)
    if weight is not None:
        check_function("evaluate", "weight", weight, "(batch) -> array", 1)
    if isinstance(params, TrainState):
        raise TypeError(
            "evaluate takes params and model_state, got a TrainState; call "
            "evaluate(metric_fn, state.params, state.model_state, batches)"
        )
    if not isinstance(batches, Iterable) or getattr(batches, "shape", None) == ():
        raise TypeError(
            f"batches must be an iterable, one pass over the set, got {batches!r:.80}; a function "
            "of the epoch is called first"
        )
    check_arrays("params", params)
    check_arrays("model_state", model_state)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((params, model_state))):
        raise TypeError(
            "evaluate compiles by itself and returns floats, got traced parameters; call it "
            "outside jax.jit"
        )
    size, sums = 0, []
    is_of_all = mesh is None and any(map(is_global, jax.tree.leaves((params, model_state))))
    for batch in batches:
        check_arrays("batch", batch)
        axes = row_axes(batch, batch_axes)
        rows = count_rows(batch, axes)
        if rows is None:
            raise ValueError("a batch to evaluate must have rows; name their axis in batch_axes")
        if not sums:
            devices = 1 if mesh is None else mesh.size
            size = -(-rows // devices) * devices
        count = np.arange(max(size, rows)) < rows
        filled = _filled(batch, axes, len(count)), count
        if mesh is not None:
            filled = _on_mesh(filled, mesh, axis, batch_axes, whole)
        elif is_of_all:
            check_global({"batch": "mesh=mesh"}, batch=batch)
        sums.append(_sums(params, model_state, *filled, metric_fn=metric_fn, weight=weight))
    if not sums:
        raise ValueError("there was no batch to evaluate")
    check_same_names("metric_fn", sums)
    read = jax.device_get(sums)  # waits only now: the device has run ahead
    return {name: _mean([each[name] for each in read]) for name in read[0]}


@functools.partial(jax.jit, static_argnames=("metric_fn", "weight"))
def _sums(
    params: Params, model_state: Any, batch: Any, counts: jax.Array, metric_fn: Any, weight: Any
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Return the weighted sum and the sum of weights of each metric over a batch."""
    weights = counts if weight is None else weight(batch)
    check_arrays("weight(batch)", weights)
    if not is_array(weights):
        raise TypeError(
            f"weight(batch) must return an array of one number a row, got {weights!r:.80}"
        )
    weights = jnp.asarray(weights)

    def total(name: str, metric: jax.Array) -> tuple[jax.Array, jax.Array]:
        if metric.shape[:1] != counts.shape:
            raise ValueError(
                f"metric {name!r} must have one entry for each of {counts.shape[0]} rows, got "
                f"shape {metric.shape}; leave the mean to evaluate"
            )
        dtype = compute_dtype(metric.dtype) if jnp.issubdtype(metric.dtype, jnp.floating) else float
        of_entries, nothing = _spread(weights, metric).astype(dtype), jnp.zeros((), dtype)
        counted = _spread(counts, metric) & (of_entries != 0)
        share = jnp.where(counted, of_entries, nothing)
        kept = jnp.where(counted, metric.astype(dtype), nothing)
        return jnp.sum(share * kept), jnp.sum(share)

    found = metric_fn(unpacked(params), model_state, batch)
    if not isinstance(found, Mapping):
        raise TypeError(
            "metric_fn must return {name: array}, one entry a row, got "
            f"{jax.tree.map(jnp.shape, found) if jax.tree.leaves(found) else found}"
        )
    for name, metric in found.items():
        check_arrays(f"metric {name!r}", metric)
    return {name: total(name, jnp.asarray(metric)) for name, metric in found.items()}


def _on_mesh(filled: Any, mesh: Mesh, axis: AxisName, batch_axes: Any, whole: Any) -> Any:
    """Return a batch and what of it counts on the mesh."""
    batch, count = filled
    batch = shard_batch(batch, mesh, axis, batch_axes, whole=whole)
    # Nothing is asked of what counts: it may well be the same in every process.
    return batch, shard_batch(count, mesh, axis, whole=bool(whole))


def _spread(of_rows: jax.Array, metric: jax.Array) -> jax.Array:
    """Return numbers of rows, or of entries, in a metric's shape."""
    if of_rows.shape != metric.shape[: of_rows.ndim]:
        raise ValueError(
            f"weight must return an array of the metric's shape {metric.shape} or of its first "
            f"axes, got shape {of_rows.shape}"
        )
    shape = (*of_rows.shape, *(1,) * (metric.ndim - of_rows.ndim))
    return jnp.broadcast_to(of_rows.reshape(shape), metric.shape)


def _filled(batch: Any, axes: list[int | None], size: int) -> Any:
    """Return a batch with its last row repeated until there are ``size``."""
    leaves, treedef = jax.tree.flatten(batch)

    def fill(leaf: Any, axis: int | None) -> Any:
        if axis is None or leaf.shape[axis] == size:
            return leaf
        if leaf.shape[axis] == 0:  # one of several processes has come to its end
            shape = (*leaf.shape[:axis], size, *leaf.shape[axis + 1 :])
            return np.zeros(shape, leaf.dtype)
        index = np.minimum(np.arange(size), leaf.shape[axis] - 1)
        return (
            np.take(leaf, index, axis)
            if isinstance(leaf, np.ndarray)
            else jnp.take(leaf, index, axis)
        )

    return treedef.unflatten([fill(*pair) for pair in zip(leaves, axes, strict=True)])


def _mean(sums: list[Any]) -> float:
    """Return the ratio of two sums, each over batches and in double precision."""
    total, weight = np.sum(np.array(sums, np.float64), axis=0)
    return float(total / weight) if weight else math.nan
