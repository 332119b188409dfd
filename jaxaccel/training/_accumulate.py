"""Gradient accumulation: a batch in equal parts, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._checks import check_positive_integer
from jaxaccel._math import compute_dtype


def accumulate(
    gradients: Callable[[Any, Any], tuple[Any, Any, Any]],
    steps: int,
    *,
    shards: int = 1,
    unroll: bool | None = None,
    weight: Callable[[Any], Any] | None = None,
) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
    r"""Return a gradient function that runs a batch in ``steps`` equal parts and averages.

    .. math:: g = \frac{\sum_{a=1}^{A} w_a \nabla \ell(\theta, B_a)}{\sum_{a=1}^{A} w_a},
        \qquad w_a = 1 \text{ unless weighted}

    Parts are consecutive rows, as a loader of small batches would give them. Running statistics go
    through the parts in order. Gradients are summed in at least float32 and their mean is rounded
    once. Of a batch that is sharded over devices, each part takes its rows from every shard, so
    that none has to move.

    Args:
        gradients: ``((params, model_state), batch) -> (grads, model_state, metrics)``, where
            gradients (like the parameters) and metrics are means over the batch.
        steps: The number of parts :math:`A`, at least 1.
        shards: The number of equal blocks of rows that each part is taken from: the devices, for
            a batch that is one array on several.
        unroll: Write the parts out one by one instead of as a loop. Default: on the CPU only, where
            XLA runs convolutions inside a loop 13 to 18 times slower.
        weight: ``part -> scalar``, what a part counts for in the mean of gradients and metrics: its
            number of tokens, for a loss that is a mean over tokens. A part of weight 0 counts for
            nothing, even if its gradients are NaN. Default: all parts count the same.

    Returns:
        A function of the same form, for the whole batch.

    Raises:
        ValueError: ``steps`` is below 1 or, when called, does not divide the batch (or a shard).
        TypeError: ``steps`` is no integer.

    PyTorch:
        ``(loss / A).backward()`` on A batches, then one ``optimizer.step()``: same gradients, and
        BatchNorm sees each part by itself; with ``weight``, ``(loss * w / sum(w)).backward()``.
        Batches that A does not divide are an error here, not carried over.

    Example:
        >>> import jax
        >>> import jax.numpy as jnp
        >>> import jaxaccel as ja
        >>> def gradients(carry, x):
        ...     params, model_state = carry
        ...     loss, grads = jax.value_and_grad(lambda w: jnp.mean(w * x))(params)
        ...     return grads, model_state, {"loss": loss}
        >>> grads, _, _ = ja.training.accumulate(gradients, 2)((1.0, ()), jnp.arange(4.0))
        >>> print(grads)
        1.5
    """
    check_positive_integer("accumulation steps", steps)
    if steps == 1:
        return gradients

    def accumulated(carry: Any, batch: Any) -> tuple[Any, Any, Any]:
        parts = jax.tree.map(lambda rows: _split(rows, steps, shards), batch)
        in_python = jax.default_backend() == "cpu" if unroll is None else unroll
        run = _run_unrolled if in_python else _run_scanned
        weighted_parts = parts, None if weight is None else _shares(jax.vmap(weight)(parts))
        grads, model_state, metrics = run(_scaled(gradients, steps), carry, weighted_parts, steps)
        grads = jax.tree.map(lambda g, p: g.astype(jnp.result_type(p)), grads, carry[0])
        return grads, model_state, jax.tree.map(lambda metric: jnp.sum(metric, axis=0), metrics)

    return accumulated


def _split(rows: jax.Array, steps: int, shards: int) -> jax.Array:
    """Return the rows as ``(steps, rows / steps, ...)``, each part with rows of every shard."""
    count, *rest = rows.shape
    if count % (steps * shards):
        on_devices = f" on {shards} devices" if shards > 1 else ""
        raise ValueError(
            f"a batch of {count} cannot be split into {steps} accumulation steps{on_devices}; drop "
            f"the last, smaller batch or choose a multiple of {steps * shards}"
        )
    by_shard = rows.reshape(shards, steps, count // (steps * shards), *rest)
    return by_shard.swapaxes(0, 1).reshape(steps, count // steps, *rest)


def _shares(weights: jax.Array) -> jax.Array:
    """Return weights as shares of their sum; where it is 0, so are they."""
    weights = weights.astype(float)
    total = jnp.sum(weights)
    return weights / jnp.where(total == 0, jnp.ones_like(total), total)


def _scaled(gradients: Any, steps: int) -> Any:
    """Return ``gradients`` of a (part, share), whose results are to be summed, not averaged."""

    def scale(value: Any, share: jax.Array | None) -> jax.Array:
        value = jnp.asarray(value)
        wide = value.astype(compute_dtype(value.dtype))
        if share is None:
            return wide / steps
        return jnp.where(share == 0, jnp.zeros_like(wide), wide * share.astype(wide.dtype))

    def scaled(carry: Any, part_and_share: Any) -> tuple[Any, Any, Any]:
        part, share = part_and_share
        grads, model_state, metrics = gradients(carry, part)
        grads, metrics = jax.tree.map(lambda value: scale(value, share), (grads, metrics))
        return grads, model_state, metrics

    return scaled


def _run_unrolled(gradients: Any, carry: Any, parts: Any, steps: int) -> tuple[Any, Any, Any]:
    """Run the parts one by one, in the traced program too."""
    params, model_state = carry
    total, history = None, []
    for index in range(steps):
        part = jax.tree.map(lambda rows, index=index: rows[index], parts)
        grads, model_state, metrics = gradients((params, model_state), part)
        total = grads if total is None else jax.tree.map(jnp.add, total, grads)
        history.append(metrics)
    return total, model_state, jax.tree.map(lambda *values: jnp.stack(values), *history)


def _run_scanned(gradients: Any, carry: Any, parts: Any, steps: int) -> tuple[Any, Any, Any]:
    """Run the parts as one compiled loop."""
    del steps
    params, model_state = carry

    def body(inner: Any, part: Any) -> tuple[Any, Any]:
        total, model_state = inner
        grads, model_state, metrics = gradients((params, model_state), part)
        return (jax.tree.map(jnp.add, total, grads), model_state), metrics

    empty = jax.tree.map(lambda p: jnp.zeros_like(p, compute_dtype(jnp.result_type(p))), params)
    start = (empty, model_state)
    (total, model_state), metrics = jax.lax.scan(body, start, parts)
    return total, model_state, metrics
