"""The likelihood of label sequences, summed over their alignments step by step."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp


def log_likelihood(
    log_probs: jax.Array,
    labels: jax.Array,
    lengths: jax.Array,
    of_labels: jax.Array,
    blank: int,
) -> jax.Array:
    """Return the log-likelihood of each label sequence; minus infinity where it does not fit.

    The forward algorithm over the labels with a blank before, between and behind them, of which an
    alignment takes one after the other: it stays, goes on by one, or by two past a blank that need
    not stand between two labels that differ.

    Args:
        log_probs: (T, N, C).
        labels: (N, S).
        lengths: (N,), how many steps count.
        of_labels: (N,), how many labels count.
        blank: The index of the blank.
    """
    steps, batch, classes = log_probs.shape
    between = jnp.full((batch, labels.shape[1]), blank, labels.dtype)
    # Blank, label, blank, label, ..., blank.
    path = jnp.stack([between, labels], 2).reshape(batch, -1)
    path = jnp.concatenate([path, jnp.full((batch, 1), blank, path.dtype)], 1)
    places = jnp.arange(path.shape[1])
    skips = jnp.concatenate(
        [jnp.zeros((batch, min(2, path.shape[1])), bool), path[:, 2:] != path[:, :-2]], 1
    )
    place = jnp.broadcast_to(jnp.clip(path, 0, classes - 1)[None], (steps, *path.shape))
    of_path = jnp.take_along_axis(log_probs, place, 2)

    @functools.partial(jax.checkpoint, prevent_cse=False)
    def step(reached: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        log_prob, is_inside = now
        from_second = jnp.where(skips, _moved(reached, 2), -jnp.inf)
        moved = _log_sum(reached, _moved(reached, 1), from_second) + log_prob
        return jnp.where(is_inside[:, None], moved, reached), None

    # Before the first step: from here, it reaches the first blank and the first label.
    start = jnp.where(places[None] == 0, jnp.zeros_like(of_path[0]), -jnp.inf)
    inside = jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths[None]
    reached, _ = jax.lax.scan(step, start, (of_path, inside))

    def at(place: jax.Array) -> jax.Array:
        there = jnp.take_along_axis(reached, jnp.maximum(place, 0)[:, None], 1)[:, 0]
        return jnp.where(place >= 0, there, -jnp.inf)

    last = jnp.minimum(2 * of_labels, path.shape[1] - 1)
    return _log_sum(at(last), at(last - 1))


def _moved(reached: jax.Array, by: int) -> jax.Array:
    """Return what stood some places before; minus infinity at the beginning."""
    size = reached.shape[1]
    return jnp.pad(reached, ((0, 0), (by, 0)), constant_values=-jnp.inf)[:, :size]


def _log_sum(*terms: jax.Array) -> jax.Array:
    """Return the logarithm of a sum of exponentials; of nothing but zeros the gradient is 0."""
    highest = jax.lax.stop_gradient(functools.reduce(jnp.maximum, terms))
    highest = jnp.where(jnp.isneginf(highest), jnp.zeros_like(highest), highest)
    total = functools.reduce(jnp.add, (jnp.exp(term - highest) for term in terms))
    is_some = total > 0
    log_total = jnp.log(jnp.where(is_some, total, jnp.ones_like(total))) + highest
    return jnp.where(is_some, log_total, -jnp.inf)
