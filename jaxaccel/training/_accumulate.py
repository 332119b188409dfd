"""Gradient accumulation: a batch in equal parts, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxaccel._tree import zeros_like


def accumulate(
    gradients: Callable[[Any, Any], tuple[Any, Any, Any]],
    steps: int,
    *,
    shards: int = 1,
    unroll: bool | None = None,
) -> Callable[[Any, Any], tuple[Any, Any, Any]]:
    r"""Return a gradient function that runs a batch in ``steps`` equal parts and averages.

    .. math:: g = \frac{1}{A} \sum_{a=1}^{A} \nabla \ell(\theta, B_a)

    Parts are consecutive rows, as a loader of small batches would give them. Running statistics go
    through the parts in order. Gradients are summed in the parameters' dtype. Of a batch that is
    sharded over devices, each part takes its rows from every shard, so that none has to move.

    Args:
        gradients: ``((params, model_state), batch) -> (grads, model_state, metrics)``, where
            gradients (like the parameters) and metrics are means over the batch.
        steps: The number of parts :math:`A`, at least 1.
        shards: The number of equal blocks of rows that each part is taken from: the devices, for
            a batch that is one array on several.
        unroll: Write the parts out one by one instead of as a loop. Default: on the CPU only, where
            XLA runs convolutions inside a loop 13 to 18 times slower.

    Returns:
        A function of the same form, for the whole batch.

    Raises:
        ValueError: ``steps`` is below 1 or, when called, does not divide the batch (or a shard).
        TypeError: ``steps`` is no integer.

    PyTorch:
        ``(loss / A).backward()`` on A batches, then one ``optimizer.step()``: same gradients, and
        BatchNorm sees each part by itself. Batches that A does not divide are an error here, not
        carried over.

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
    if not isinstance(steps, int):
        raise TypeError(f"accumulation steps must be an integer, got {steps!r}")
    if steps < 1:
        raise ValueError(f"accumulation steps must be at least 1, got {steps}")
    if steps == 1:
        return gradients

    def accumulated(carry: Any, batch: Any) -> tuple[Any, Any, Any]:
        parts = jax.tree.map(lambda rows: _split(rows, steps, shards), batch)
        in_python = jax.default_backend() == "cpu" if unroll is None else unroll
        run = _run_unrolled if in_python else _run_scanned
        total, model_state, metrics = run(gradients, carry, parts, steps)
        mean = jax.tree.map(lambda grad: grad / steps, total)
        return mean, model_state, jax.tree.map(lambda metric: jnp.mean(metric, axis=0), metrics)

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

    start = (zeros_like(params), model_state)
    (total, model_state), metrics = jax.lax.scan(body, start, parts)
    return total, model_state, metrics
