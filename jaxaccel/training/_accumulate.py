"""Gradient accumulation: a batch in equal parts, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._check_trees import check_arrays, check_loss_scale
from jaxaccel._checked import checked_but
from jaxaccel._checks import check_positive_integer
from jaxaccel._functions import check_function, check_gradient_function
from jaxaccel._keys import check_random_key
from jaxaccel._math import compute_dtype
from jaxaccel._returned import checked_gradients
from jaxaccel._rows import (
    as_weight,
    count_rows,
    row_axes,
    scaled_by,
    seeds_of,
    share_of_gradient,
    share_of_metric,
)
from jaxaccel._spread import spread_of, with_spread
from jaxaccel._tree import is_none
from jaxaccel._types import Count, GradientFunction, Gradients, Params


@checked_but("gradient_fn", "steps")
def accumulate(
    gradient_fn: GradientFunction,
    steps: Count,
    *,
    weight: Callable[[Any], Any] | None = None,
    batch_axes: Any = 0,
    unroll: bool | None = None,
) -> GradientFunction:
    r"""Return a gradient function that runs a batch in ``steps`` equal parts and averages.

    .. math:: g = \frac{\sum_{a=1}^{A} w_a \nabla \ell(\theta, B_a)}{\sum_{a=1}^{A} w_a},
        \qquad w_a = 1 \text{ unless weighted}

    Part a has the rows a, a + A, a + 2A, ...: so it has rows of every device's share of the batch,
    none of them moves, and the order in which this and ``parallel.data_parallel`` are wrapped
    changes nothing. Batches of a loader are joined into such parts by :func:`join_micro_batches`.
    Running statistics go through the parts in order; each part has a random key of its own.
    Gradients are summed in at least float32 and their mean is rounded once.

    Args:
        gradient_fn: A gradient function (:func:`gradients`), maybe wrapped already.
        steps: The number of parts :math:`A`, at least 1.
        weight: ``part -> scalar``, what a part counts for in the mean of gradients and metrics: its
            number of tokens, for a loss that is a mean over tokens. A part of weight 0 counts for
            nothing, even if its gradients are NaN. Default: all parts count the same.
        batch_axes: The axis of each leaf that holds its rows, ``None`` for a leaf that every part
            is given whole: one for all or a prefix of the batch's tree, as ``jax.vmap``'s
            ``in_axes``. Scalars are given whole without saying.
        unroll: Write the parts out one by one instead of as a loop. Default: where the program is
            lowered for a CPU, on which XLA runs convolutions inside a loop 13 to 18 times slower.

    Returns:
        A gradient function for the whole batch.

    Raises:
        ValueError: ``steps`` is below 1; when called, it does not divide the batch, or the leaves
            disagree on the number of rows.
        TypeError: ``steps`` is not an integer, or ``gradient_fn`` is a loss function; when called,
            ``weight`` returns anything but one real number, or a gradient function of your own
            returns something else than :class:`Gradients`, or another model state in form.

    PyTorch:
        ``(loss / A).backward()`` on A batches ``batch[a::A]``, then one ``optimizer.step()``: same
        gradients, and BatchNorm sees each part by itself; with ``weight``,
        ``(loss * w / sum(w)).backward()``. Batches that A does not divide are an error here, not
        carried over (``transforms.accumulate_gradients`` does that).

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def loss_fn(params, model_state, batch):
        ...     return jnp.mean(params * batch), (model_state, {})
        >>> gradient_fn = ja.training.accumulate(ja.training.gradients(loss_fn), steps=2)
        >>> print(gradient_fn(1.0, (), jnp.arange(4.0)).grads)
        1.5
    """
    check_gradient_function("accumulate", gradient_fn)
    if weight is not None:
        check_function("accumulate", "weight", weight, "(part) -> number", 1)
    steps = check_positive_integer("accumulation steps", steps)
    if steps == 1:
        return gradient_fn
    gradient_fn = checked_gradients("accumulate", gradient_fn)

    def accumulated(
        params: Params, model_state: Any, batch: Any, *, loss_scale: Any = None, key: Any = None
    ) -> Gradients:
        check_arrays("batch", batch)
        check_loss_scale(loss_scale)
        check_random_key(key)
        part_at, seeds = _parts(batch, batch_axes, steps, weight)
        # Where the loss has a scale, as float16 needs one, a part has its share of it, as that of
        # ``loss / A``: the sum is then the mean, and nothing overflows on the way to it.
        is_scaled, share = loss_scale is not None, None
        if is_scaled:
            share = jnp.asarray(loss_scale)
            share = share.astype(compute_dtype(share.dtype)) / steps

        @jax.jit  # so that it is traced once, in whichever form and for all parts
        def run(model_state: Any, part: Any, seed: Any, index: Any) -> Gradients:
            found = gradient_fn(
                params,
                model_state,
                part,
                loss_scale=scaled_by(seed, share),
                key=None if key is None else jax.random.fold_in(key, index),
            )
            return Gradients(
                jax.tree.map(lambda g: _wide(share_of_gradient(g, seed)), found.grads),
                jax.tree.map(_varying_like, found.model_state, model_state),
                {name: share_of_metric(m, seed) for name, m in found.metrics.items()},
            )

        def run_at(index: Any, model_state: Any) -> Gradients:
            seed = None if seeds is None else seeds[index]
            return run(model_state, part_at(index), seed, jnp.asarray(index, jnp.int32))

        total = _run_all(run_at, params, model_state, steps, unroll)
        grads = jax.tree.map(
            lambda g, p: (
                None if g is None else (g if is_scaled else g / steps).astype(jnp.result_type(p))
            ),
            total.grads,
            params,
            is_leaf=is_none,
        )
        metrics = {name: metric / steps for name, metric in total.metrics.items()}
        return Gradients(grads, total.model_state, metrics)

    return with_spread(accumulated, spread_of(gradient_fn))


def _parts(batch: Any, batch_axes: Any, steps: int, weight: Any) -> tuple[Any, Any]:
    """Return ``index -> part``, and the parts' seeds."""
    leaves, treedef = jax.tree.flatten(batch)
    axes = row_axes(batch, batch_axes)
    rows = count_rows(batch, axes)
    if rows is not None and rows % steps:
        devices = _devices_of(leaves)
        whose = f"a batch of {rows}"
        if devices > 1:
            whose = f"a device's {rows} of {rows * devices} rows"
        raise ValueError(
            f"{whose} cannot be split into {steps} accumulation steps; drop the last, smaller "
            f"batch or choose a multiple of {steps * devices}"
        )
    places = [None if axis is None else axis + 1 for axis in axes]
    strided = [
        leaf
        if axis is None
        # Counted, because -1 is not known where another axis has length 0.
        else leaf.reshape(
            *leaf.shape[:axis], leaf.shape[axis] // steps, steps, *leaf.shape[axis + 1 :]
        )
        for leaf, axis in zip(leaves, axes, strict=True)
    ]

    def part_at(index: Any) -> Any:
        take = jax.lax.index_in_dim if isinstance(index, int) else jax.lax.dynamic_index_in_dim
        pairs = zip(strided, places, strict=True)
        return treedef.unflatten(
            [x if place is None else take(x, index, place, keepdims=False) for x, place in pairs]
        )

    if weight is None:
        return part_at, None
    of_parts = jax.vmap(
        lambda part: as_weight(weight(treedef.unflatten(part))), in_axes=(places,), axis_size=steps
    )
    weights = of_parts(strided)
    return part_at, seeds_of(weights, jnp.sum(weights), steps)


def _devices_of(leaves: list[Any]) -> int:
    """Return how many devices share a batch, of which these are the rows of one."""
    axes = {axis for leaf in leaves for axis in jax.typeof(leaf).manual_axis_type.varying}
    return math.prod(map(jax.lax.axis_size, axes))


def _run_all(
    run_at: Callable[..., Gradients], params: Params, model_state: Any, steps: int, unroll: Any
) -> Gradients:
    """Return the sums over the parts and the last state."""

    def unrolled(model_state: Any) -> Gradients:
        total = run_at(0, model_state)
        for index in range(1, steps):
            total = _plus(total, run_at(index, total.model_state))
        return total

    def scanned(model_state: Any) -> Gradients:
        def body(carry: Any, index: Any) -> Any:
            found = run_at(index, carry[1])
            return (_sum(carry[0], found.grads), found.model_state), found.metrics

        # Asked for, because a frozen parameter has no gradient.
        found = jax.eval_shape(lambda: run_at(0, model_state)).grads
        empty = jax.tree.map(
            lambda g, p: None if g is None else jnp.zeros_like(_wide(jnp.asarray(p))),
            found,
            params,
            is_leaf=is_none,
        )
        carry, metrics = jax.lax.scan(
            body, (empty, model_state), jnp.arange(steps, dtype=jnp.int32)
        )
        return Gradients(*carry, {name: jnp.sum(m, axis=0) for name, m in metrics.items()})

    if unroll is None:
        return jax.lax.platform_dependent(model_state, cpu=unrolled, default=scanned)
    return unrolled(model_state) if unroll else scanned(model_state)


def _sum(left: Any, right: Any) -> Any:
    """Return the sum of two trees."""
    return jax.tree.map(jnp.add, left, right)


def _plus(total: Gradients, found: Gradients) -> Gradients:
    """Return the sums with one part more, and its state."""
    return Gradients(
        _sum(total.grads, found.grads), found.model_state, _sum(total.metrics, found.metrics)
    )


def _wide(leaf: jax.Array) -> jax.Array:
    """Return an array in the dtype that gradients are summed in."""
    return leaf.astype(compute_dtype(leaf.dtype))


def _varying_like(new: jax.Array, old: jax.Array) -> jax.Array:
    """Return a new state with the type of the old one: different on each device, if that was.

    A loop must hand on what it was given, and a statistic that was averaged over devices is the
    same on all.
    """
    axes = jax.typeof(old).manual_axis_type.varying - jax.typeof(new).manual_axis_type.varying
    return jax.lax.pcast(new, tuple(axes), to="varying") if axes else new
