"""Targets that are indices of classes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxaccel._arrays import known_values
from jaxaccel._gradient import with_gradient_of
from jaxaccel._math import compute_dtype


def classes_last(array: jax.Array, class_axis: int) -> jax.Array:
    """Return the array with its classes on the last axis; one axis alone is that of the classes."""
    if array.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if array.ndim > 1 and not -array.ndim <= class_axis < array.ndim:
        raise ValueError(
            f"class_axis={class_axis} is not an axis of an input of shape {array.shape}; leave it "
            "out where classes are last, as here, or say 1 where they are second, as in PyTorch"
        )
    return array if array.ndim == 1 else jnp.moveaxis(array, class_axis, -1)


def check_weight(input: jax.Array, weight: jax.Array | None, classes: int) -> None:
    """Check the weights of the classes, with PyTorch's texts."""
    if not jnp.issubdtype(input.dtype, jnp.floating):
        raise TypeError(f"expected a floating point input, got dtype {input.dtype}")
    if weight is None:
        return
    if weight.shape != (classes,):
        raise ValueError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if weight.dtype not in (input.dtype, compute_dtype(input.dtype)):
        raise TypeError(f"expected weight of dtype {input.dtype} but found {weight.dtype}")


def as_indices(log_probs: jax.Array, target: jax.Array, ignore_index: int) -> jax.Array:
    """Return the target as signed integers in the shape of ``log_probs`` without its last axis.

    Shapes and dtype are checked, with PyTorch's texts, and the values where they are known.
    """
    *expected, classes = log_probs.shape
    if not jnp.issubdtype(target.dtype, jnp.integer):
        raise TypeError(f"expected target dtype to be an integer, but got {target.dtype}")
    if not expected:
        if target.size != 1 or target.ndim > 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.size}"
            )
        target = target.reshape(())
    elif target.shape[:1] != (expected[0],):
        found = target.shape[0] if target.ndim else 0
        raise ValueError(
            f"Expected input batch_size ({expected[0]}) to match target batch_size ({found})."
        )
    elif list(target.shape) != expected:
        text = f"Expected target size {expected}, got {list(target.shape)}"
        if list(target.shape) == [expected[0], *log_probs.shape[2:]]:
            axes = ", ".join(map(str, (0, *range(2, log_probs.ndim), 1)))
            text += (
                f"\nClasses are last here: got {log_probs.shape}; pass input.transpose({axes}), "
                "or say class_axis=1"
            )
        raise ValueError(text)
    known = known_values(target)
    if known is not None:
        outside = known[(known != ignore_index) & ((known < 0) | (known >= classes))]
        if outside.size:
            raise IndexError(f"Target {outside.flat[0]} is out of bounds.")
    return jnp.asarray(target.astype(np.promote_types(target.dtype, np.int32)))


def number_at(index: jax.Array, array: jax.Array, stored: jax.Array) -> jax.Array:
    """Return the number at each index of the last axis; the first one where the index is outside.

    It is read from ``stored``, which is the array before it was widened, and no copy is. The
    gradient asks each class whether it is the one, and so is part of the pass that computes the
    rest of the array's gradient; a scatter would need one of its own.

    Args:
        index: Integers, in the array's shape without its last axis.
        array: What is differentiated.
        stored: The same numbers.
    """
    index = jnp.expand_dims(jnp.where(_inside(index, array.shape[-1]), index, 0), -1)
    # Known where a mesh has explicit axes; of classes on several devices nothing can be gathered.
    sharding = jax.typeof(array).sharding
    is_spread = sharding.spec[-1] is not None
    classes = jax.lax.broadcasted_iota(
        *(index.dtype, array.shape, array.ndim - 1), out_sharding=sharding if is_spread else None
    )
    found_again = jnp.sum(jnp.where(classes == index, array, jnp.zeros_like(array)), -1)
    if is_spread:
        return found_again
    found = jnp.take_along_axis(jax.lax.stop_gradient(stored), index, -1)
    found = jax.lax.squeeze(found, (found.ndim - 1,))
    return with_gradient_of(found_again, found.astype(array.dtype))


def picked(
    log_prob: jax.Array,
    index: jax.Array,
    classes: int,
    weight: jax.Array | None,
    ignore_index: int,
) -> tuple[jax.Array, jax.Array]:
    """Return minus the weighted log-probability of each index, and the weights: 0 where ignored."""
    inside, kept = _inside(index, classes), index != ignore_index
    zero = jnp.zeros_like(log_prob)
    weights = jnp.ones_like(zero)
    if weight is not None:
        place = jnp.where(inside, index, 0)
        where = jax.typeof(place).sharding  # known where a mesh has explicit axes
        weights = (
            jnp.asarray(weight, zero.dtype)
            .at[place]
            .get(out_sharding=where if any(where.spec) else None)
        )
    # A compiled program cannot raise; nan is seen.
    loss = jnp.where(inside, -weights * log_prob, jnp.full_like(zero, jnp.nan))
    return jnp.where(kept, loss, zero), jnp.where(kept, weights, zero)


def class_mean(loss: jax.Array, weights: jax.Array, reduction: str) -> jax.Array:
    """Return the losses reduced; the mean divides by the sum of the weights, and nan is 0 / 0."""
    if reduction == "none":
        return loss
    total = jnp.sum(loss)
    return total / jnp.sum(weights) if reduction == "mean" else total


def _inside(index: jax.Array, classes: int) -> jax.Array:
    """Return which integers are indices of classes."""
    return (index >= 0) & (index < classes)
